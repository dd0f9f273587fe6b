package monitor

import (
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/proto"
)

// awaitStep waits until fd, of words, is ready or at its end; false when the daemon has hung up before.
func awaitStep(words int) bool {
	p := []unix.PollFd{{Fd: int32(words), Events: unix.POLLIN}, {Fd: proto.FDReport, Events: unix.POLLRDHUP}}
	for {
		_, err := unix.Poll(p, -1)
		switch {
		case err == unix.EINTR:
		case err != nil, p[0].Revents != 0: // a fault shows in the read that follows
			return true
		case p[1].Revents != 0:
			return false
		}
	}
}
