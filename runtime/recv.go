package runtime

import (
	"io"

	"golang.org/x/sys/unix"
)

// recv receives one packet, waiting in the runtime's poller. io.EOF at its end: a packet of
// zero bytes does not occur.
func (r *reports) recv(b, oob []byte) (n, oobn, flags int, err error) {
	c, err := r.file.SyscallConn()
	if err != nil {
		return 0, 0, 0, err
	}
	var rerr error
	err = c.Read(func(fd uintptr) bool {
		for {
			n, oobn, flags, _, rerr = unix.Recvmsg(int(fd), b, oob, unix.MSG_CMSG_CLOEXEC)
			if rerr != unix.EINTR && rerr != unix.ECONNRESET { // that is said once, before what the peer had sent, see proto.ReceivePacket
				return rerr != unix.EAGAIN
			}
		}
	})
	switch {
	case err != nil:
		return 0, 0, 0, err
	case rerr != nil:
		return 0, 0, 0, rerr
	case n == 0:
		return 0, 0, 0, io.EOF
	}
	return n, oobn, flags, nil
}

// rights takes the descriptors out of control messages, unix(7).
func rights(oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var fds []int
	for i := range msgs {
		got, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			closeAll(fds)
			return nil, err
		}
		fds = append(fds, got...)
	}
	return fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
