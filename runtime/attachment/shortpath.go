package attachment

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// shortPath is dir/name in a form that fits struct sockaddr_un, whose path takes 107 bytes: through an open
// descriptor of the directory when it is longer. Call done after use.
func shortPath(dir, name string) (path string, done func(), err error) {
	path = filepath.Join(dir, name)
	if len(path) < len(unix.RawSockaddrUnix{}.Path) {
		return path, func() {}, nil
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, fmt.Errorf("open %s: %w", dir, err)
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", fd, name), func() { unix.Close(fd) }, nil
}
