package monitor

import (
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/boot"
	"github.com/stackrun/stack/runtime/proto"
)

// A monitor whose container has ended can be the next one's: the start of a program, and the end of one, are a quarter of what a short container costs. It is, if it
// is as new by all that it can tell: whatever is not as usual ends with the process, as it always did.

// free says whether nothing of the container is left here that could matter to another, and takes the name of the next work then.
//
// After proto.MaxWorks there is none: nothing is collected in between, and each leaves 0.1 MiB, of which 12 kB are there after a collection too.
//
// Precondition: the exit is on record, status and socket are gone, and nothing more is done for the container.
func (m *monitor) free() bool {
	m.streams.closeInput()
	if m.n+1 == proto.MaxWorks || m.settled || m.b.Spec.Process.Terminal || !m.ownPids() || m.streams.lost {
		return false
	}
	m.init.poll.Close()
	// The daemon first: one that is gone is the usual case of what follows.
	return !ready(proto.FDReport, unix.POLLRDHUP) && alone() && childless() && m.onlyOwnFiles() && m.rename()
}

// rename ends this work for all who know of it, see proto.WorkName.
func (m *monitor) rename() bool {
	return writeFile("/proc/self/comm", proto.WorkName(m.n+1)) == nil
}

// alone says whether no goroutine of the container's is left. Those that have nothing to wait for any more get their turn first.
func alone() bool {
	for range 8 {
		if runtime.NumGoroutine() == 1 {
			return true
		}
		runtime.Gosched()
	}
	return false
}

// childless says whether no process is left to be reaped here.
func childless() bool {
	_, err := unix.Wait4(-1, nil, unix.WNOHANG|unix.WALL, nil)
	return err == unix.ECHILD
}

// onlyOwnFiles says whether the open files are those of a monitor without work: null devices, the connection to the daemon, its home, and what Go's poller has.
func (m *monitor) onlyOwnFiles() bool {
	const path = "/proc/self/fd"
	dir, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(dir)
	var room [2 << 10]byte // for more than are accepted
	n, err := unix.Getdents(dir, room[:])
	if err != nil {
		return false
	}
	_, _, names := unix.ParseDirent(room[:n], -1, make([]string, 0, 16))
	pollers := map[string]int{"anon_inode:[eventpoll]": 1, "anon_inode:[eventfd]": 1}
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil {
			return false
		}
		if fd == dir || fd == proto.FDReport || fd < proto.FDReport && isNull(fd) || m.home.Has(fd) {
			continue
		}
		to, err := os.Readlink(path + "/" + name)
		if pollers[to]--; err != nil || pollers[to] < 0 {
			return false
		}
	}
	return true
}

// isNull says whether fd is the null device.
func isNull(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == unix.Mkdev(1, 3)
}

// headStart is what the daemon gets, which has just been woken by the end of a container, and on this processor.
const headStart = 50 * time.Microsecond

// prepare makes ahead the namespaces that the next container needs if it is like the last, nil where there are none: while the daemon removes what is left of that, and puts the next on record,
// this process would only wait. An error is as Prepare's.
//
// Precondition: as Prepare's.
func (k *kept) prepare() (*boot.Ahead, error) {
	if k.kinds == 0 || awaitReady(proto.FDReport, headStart) {
		return nil, nil
	}
	return k.home.Prepare(k.kinds)
}
