package boot

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/runtime/proto"
)

// filesystem says whether s is one that the monitor mounts.
func (s *source) filesystem() bool { return s.stage == "volume" && s.Filesystem() }

func (s *source) what() string {
	if s.View() {
		return "image"
	}
	return "volume"
}

// OpenFilesystems mounts volumes that are file systems, detached, and returns them in their order. It
// comes before the container's network is entered, where a server of files may not be reached.
func OpenFilesystems(volumes []mount.Mount) ([]int, *proto.Failure) {
	sources, err := newSources("volume", volumes)
	var trees []int
	for i := range sources {
		s := &sources[i]
		if err != nil {
			break
		}
		if err = s.mountDetached(); err == nil {
			trees = append(trees, s.tree)
			continue
		}
		var f *proto.Failure
		if errors.As(err, &f) {
			f.Detail = strings.TrimPrefix(f.Detail+"; it is the volume at "+s.Target, "; ")
		}
	}
	if err == nil {
		return trees, nil
	}
	for _, fd := range trees {
		unix.Close(fd)
	}
	return nil, AsFailure(err)
}

// takeFilesystems gives the file systems among volumes what OpenFilesystems has mounted.
func takeFilesystems(volumes []source, mounted []int) error {
	for i := range volumes {
		s := &volumes[i]
		if !s.filesystem() {
			continue
		}
		if len(mounted) == 0 {
			return refuse(s.stage, s.Target, "nobody has mounted the file system "+s.Type)
		}
		s.tree, mounted = mounted[0], mounted[1:]
	}
	return nil
}

// mountDetached leaves the attributes of the mount to attach: an empty one may have to be filled first.
func (s *source) mountDetached() error {
	if len(s.data) > 0 {
		return refuse(s.stage, s.Target, "mount option "+s.data[0]+" is not known")
	}
	fs, err := openFilesystem(s.stage, s.Type)
	if isErrno(err, unix.ENODEV) {
		return explain(err, "this kernel has no such file system, and no module of it")
	}
	if err != nil {
		return err
	}
	defer fs.close()
	// First: nfs takes from it what the options add to.
	if err := fs.set("source", s.Source); err != nil {
		return err
	}
	if err := fs.setAll(s.Data); err != nil {
		return err
	}
	fs.of = s.Source
	s.tree, err = fs.mount("", 0)
	return err
}

// shown is an option as errors may show it.
func shown(word string) string {
	key, _, ok := strings.Cut(word, "=")
	if ok && (strings.Contains(key, "pass") || strings.Contains(key, "secret") || strings.Contains(key, "key")) {
		return key + "=(hidden)"
	}
	return word
}
