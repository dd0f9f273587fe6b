package proto

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/rawfd"
)

// maxPacket bounds one message. Reports and steps are small; a longer one is a fault, not data.
const maxPacket = 64 << 10

// maxWord bounds what a monitor is told in a packet, and what its init tells it: the content of a bootstrap is in a file.
const maxWord = 256

// Send writes m as one packet to the SOCK_SEQPACKET socket fd, with files as SCM_RIGHTS.
// It never raises SIGPIPE. The peer being gone is an error that callers who outlive their peer ignore.
func Send(fd int, m Message, files ...int) error {
	w := &wire{b: make([]byte, 0, 256)}
	m.code(w)
	return SendPacket(fd, w.b, files...)
}

// SendPacket is Send for bytes that are ready.
func SendPacket(fd int, b []byte, files ...int) error {
	var oob []byte
	if len(files) > 0 {
		oob = unix.UnixRights(files...)
	}
	for {
		err := unix.Sendmsg(fd, b, oob, nil, unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return err
		}
	}
}

// Receive reads one packet from fd into m and returns the files that came with it, close-on-exec.
// io.EOF when the peer has closed.
func Receive(fd int, m Message) ([]int, error) {
	b, files, err := receivePacket(fd, maxPacket)
	if err != nil {
		return nil, err
	}
	if err := Decode(b, m); err != nil {
		rawfd.CloseAll(files)
		return nil, err
	}
	return files, nil
}

// ReceivePacket is Receive for a few bytes.
func ReceivePacket(fd int) ([]byte, []int, error) { return receivePacket(fd, maxWord) }

func receivePacket(fd, size int) ([]byte, []int, error) {
	b := make([]byte, size)
	oob := make([]byte, unix.CmsgSpace(4*4))
	for {
		n, oobn, flags, _, err := unix.Recvmsg(fd, b, oob, unix.MSG_CMSG_CLOEXEC)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ECONNRESET:
			// The peer ended with a packet of ours unread. The kernel says so once, before what the peer had sent (net/unix/af_unix.c,
			// unix_release_sock): that comes next, and then the end.
			continue
		case err != nil:
			return nil, nil, err
		}
		files, err := rights(oob[:oobn])
		switch {
		case err != nil:
			return nil, nil, err
		case n == 0 && len(files) == 0:
			return nil, nil, io.EOF
		case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
			rawfd.CloseAll(files)
			return nil, nil, errors.New("message is too long")
		}
		return b[:n], files, nil
	}
}

// Map returns the content of a file that does not change any more, mapped and read-only.
func Map(fd int) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Size == 0 {
		return nil, errShort
	}
	return unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ, unix.MAP_PRIVATE)
}

func rights(oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var files []int
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue // not SCM_RIGHTS
		}
		files = append(files, fds...)
	}
	return files, nil
}
