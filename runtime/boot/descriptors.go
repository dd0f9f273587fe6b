package boot

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// descriptors is the host's /proc/self/fd. In a container there is none of it: its procfs does not show this process, or is not one at all.
//
// Whoever makes a container, or an exec, is not in its cgroups, so no rule on devices keeps it from any. To open one can be enough to
// do damage: a watchdog that nobody feeds resets the host. So what lies in a container is opened for its path alone (O_PATH), looked at, and opened by its
// descriptor then: of a name somebody could make something else in between.
type descriptors int

// openDescriptors comes before the host's paths are gone.
func openDescriptors() (descriptors, error) {
	const path = "/proc/self/fd"
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fault("root", "open", path, err)
	}
	return descriptors(fd), nil
}

// open opens what fd, which has been looked at, is open for the path of.
func (d descriptors) open(fd, flags int) (int, error) {
	for {
		n, err := unix.Openat(int(d), strconv.Itoa(fd), flags|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return n, err
		}
	}
}

func (d descriptors) close() {
	if d >= 0 {
		unix.Close(int(d))
	}
}
