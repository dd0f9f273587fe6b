// Package grant finds what the host gives to a container: device nodes, what vendors' device files add to them, the
// numbers of block devices, and a seccomp profile from a file. It looks when it is asked: the answer may be another
// one tomorrow.
package grant

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/plan"
)

// Grant is what a container gets of the host, as that is when the container is made.
type Grant struct {
	Devices  []bundle.Device
	Vendors  Vendors
	BlockIO  *specs.LinuxBlockIO
	Seccomp  []byte // the profile of a file
	Hostname string // the host's
}

// Of looks up all that s asks for. An error: some of it the host does not have.
func Of(s *plan.Spec) (h Grant, err error) {
	if h.Devices, err = hostDevices(s); err != nil {
		return h, err
	}
	if h.Vendors, err = Requested(s); err != nil {
		return h, err
	}
	if h.BlockIO, err = BlockIO(s.Resources.BlkIO); err != nil {
		return h, err
	}
	if h.Seccomp, err = SeccompProfile(s); err != nil {
		return h, err
	}
	h.Hostname, err = Hostname()
	return h, err
}

// hostDevices looks up the devices that a container asks for; a directory stands for all nodes below it. A
// privileged container gets all of /dev.
func hostDevices(s *plan.Spec) ([]bundle.Device, error) {
	var out []bundle.Device
	for _, d := range s.Devices {
		found, err := Devices(d.Source, d.Target, d.Permissions)
		if err != nil {
			return nil, fmt.Errorf("cannot use device %s: %w", d.Source, err)
		}
		out = append(out, found...)
	}
	if s.Privileged {
		found, err := Devices("/dev", "/dev", "rwm")
		if err != nil {
			return nil, fmt.Errorf("cannot list the host's devices: %w", err)
		}
		out = append(out, found...)
	}
	return out, nil
}

// ownDev are places below /dev that every container has its own of.
var ownDev = map[string]bool{"/dev/pts": true, "/dev/shm": true, "/dev/mqueue": true, "/dev/console": true, "/dev/ptmx": true,
	"/dev/null": true, "/dev/zero": true, "/dev/full": true, "/dev/random": true, "/dev/urandom": true, "/dev/tty": true}

// Devices is the node source as target, or all nodes below the directory source below target; access is some of "rwm".
func Devices(source, target, access string) ([]bundle.Device, error) {
	info, err := os.Stat(source)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		d, err := device(source, target, access)
		if err != nil {
			return nil, err
		}
		return []bundle.Device{d}, nil
	}
	var out []bundle.Device
	err = filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // devices come and go
		}
		if err != nil {
			return err
		}
		if source == "/dev" && ownDev[path] {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if entry.Type()&fs.ModeDevice == 0 {
			return nil
		}
		d, err := device(path, filepath.Join(target, strings.TrimPrefix(path, source)), access)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		out = append(out, d)
		return err
	})
	return out, err
}

func device(source, target, access string) (bundle.Device, error) {
	var st unix.Stat_t
	if err := unix.Stat(source, &st); err != nil {
		return bundle.Device{}, &fs.PathError{Op: "stat", Path: source, Err: err}
	}
	kind := map[uint32]string{unix.S_IFCHR: "c", unix.S_IFBLK: "b", unix.S_IFIFO: "p"}[st.Mode&unix.S_IFMT]
	if kind == "" {
		return bundle.Device{}, errdefs.With(errdefs.ErrInvalidArgument, errors.New("it is not a device"))
	}
	mode := os.FileMode(st.Mode & 0o777)
	return bundle.Device{Access: access, Node: specs.LinuxDevice{
		Path: target, Type: kind, Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev)), FileMode: &mode, UID: &st.Uid, GID: &st.Gid,
	}}, nil
}

// SeccompProfile reads the profile that security_opt seccomp=FILE names; nil when there is none.
func SeccompProfile(s *plan.Spec) ([]byte, error) {
	for _, opt := range s.SecurityOpt {
		name, file := bundle.SecurityOpt(opt)
		if name != "seccomp" || file == "unconfined" || file == "builtin" {
			continue
		}
		if bundle.Inline(file) {
			return []byte(file), nil
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("cannot read the seccomp profile: %w", err)
		}
		return raw, nil
	}
	return nil, nil
}

// Hostname is the host's.
func Hostname() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("cannot read the host's name: %w", err)
	}
	return name, nil
}
