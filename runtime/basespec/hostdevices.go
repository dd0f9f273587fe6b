package basespec

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// hostDevices are the device nodes below dir, for a privileged container. Left out is what every
// container has of its own: terminals, shared memory, message queues.
func hostDevices(dir string) ([]specs.LinuxDevice, error) {
	own := map[string]bool{
		"/dev/pts": true, "/dev/shm": true, "/dev/mqueue": true, "/dev/fd": true, "/dev/console": true, "/dev/ptmx": true,
		"/dev/.lxc": true, "/dev/.lxd-mounts": true, "/dev/.udev": true,
	}
	var out []specs.LinuxDevice
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			if os.IsNotExist(err) {
				return nil // unplugged meanwhile
			}
			return err
		}
		if own[path] {
			if e.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if e.Type()&fs.ModeDevice == 0 {
			return nil
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return nil
		}
		kind := "b"
		if e.Type()&fs.ModeCharDevice != 0 {
			kind = "c"
		}
		mode := os.FileMode(st.Mode & 0o777)
		uid, gid := st.Uid, st.Gid
		out = append(out, specs.LinuxDevice{Path: path, Type: kind, FileMode: &mode, UID: &uid, GID: &gid,
			Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev))})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot list the host's devices: %w", err)
	}
	return out, nil
}
