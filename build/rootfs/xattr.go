package rootfs

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Xattrs reads the extended attributes of a file or directory that keep wants.
func (r *Root) Xattrs(canonical string, keep func(name string) bool) (map[string][]byte, error) {
	fd, err := r.open(canonical, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: "/" + canonical, Err: err}
	}
	defer unix.Close(fd)
	through := "/proc/self/fd/" + strconv.Itoa(fd)
	n, err := unix.Listxattr(through, nil)
	if err != nil || n == 0 {
		return nil, nil // a file system without any
	}
	buf := make([]byte, n)
	if n, err = unix.Listxattr(through, buf); err != nil {
		return nil, nil
	}
	var out map[string][]byte
	for name := range strings.SplitSeq(string(buf[:n]), "\x00") {
		if name == "" || !keep(name) {
			continue
		}
		value := make([]byte, 64<<10) // XATTR_SIZE_MAX
		n, err := unix.Getxattr(through, name, value)
		if err != nil {
			continue // gone meanwhile
		}
		if out == nil {
			out = map[string][]byte{}
		}
		out[name] = value[:n]
	}
	return out, nil
}
