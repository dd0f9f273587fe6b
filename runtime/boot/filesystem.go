package boot

import (
	"cmp"
	"errors"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// filesystem is a file system context: fsopen(2), fsconfig(2), fsmount(2).
type filesystem struct {
	fd    int
	stage string
	kind  string
	of    string // the device or server, for errors of the file system as a whole
}

func openFilesystem(stage, kind string) (*filesystem, error) {
	fd, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fault(stage, "fsopen", kind, err)
	}
	return &filesystem{fd: fd, stage: stage, kind: kind}, nil
}

func (f *filesystem) close() { unix.Close(f.fd) }

func (f *filesystem) set(key, value string) error {
	return f.fault(unix.FsconfigSetString(f.fd, key, value), key+"="+value)
}

// setAll passes "key=value" and "flag" words on.
func (f *filesystem) setAll(words []string) error {
	for _, w := range words {
		key, value, hasValue := strings.Cut(w, "=")
		if hasValue {
			if err := f.set(key, value); err != nil {
				return err
			}
		} else if err := f.fault(unix.FsconfigSetFlag(f.fd, w), w); err != nil {
			return err
		}
	}
	return nil
}

// mount creates the file system and returns a detached mount of it.
func (f *filesystem) mount(source string, attributes uint64) (int, error) {
	if source != "" {
		// Only a name for /proc/self/mountinfo; some file systems take none.
		_ = unix.FsconfigSetString(f.fd, "source", source)
	}
	if err := f.fault(unix.FsconfigCreate(f.fd), ""); err != nil {
		return -1, err
	}
	tree, err := unix.Fsmount(f.fd, unix.FSMOUNT_CLOEXEC, int(attributes))
	if err != nil {
		return -1, f.fault(err, "")
	}
	return tree, nil
}

func (f *filesystem) fault(err error, what string) error {
	if err == nil {
		return nil
	}
	path := f.kind
	if what = cmp.Or(what, f.of); what != "" {
		path += " " + shown(what)
	}
	return explain(fault(f.stage, "fsconfig", path, err), f.message())
}

// message is what the kernel has to say of the last fault: lines "e overlay: …", "w …", "i …",
// read from the context itself (since 5.2).
func (f *filesystem) message() string {
	var said []string
	b := make([]byte, 512)
	for len(said) < 8 {
		n, err := unix.Read(f.fd, b)
		if n <= 0 || err != nil {
			break
		}
		line := strings.TrimSpace(string(b[:n]))
		if text, ok := strings.CutPrefix(line, "e "); ok {
			said = append(said, text)
		}
	}
	return strings.Join(said, "; ")
}

func isErrno(err error, want syscall.Errno) bool {
	return errors.Is(err, want) || err != nil && AsFailure(err).Errno == want
}
