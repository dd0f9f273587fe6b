package proto

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// maxPacket bounds one message. Reports and steps are small; a longer one is a fault, not data.
const maxPacket = 64 << 10

// Send writes v as one JSON packet to the SOCK_SEQPACKET socket fd, with files as SCM_RIGHTS.
// It never raises SIGPIPE. The peer being gone is an error that callers who outlive their peer ignore.
func Send(fd int, v any, files ...int) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return SendPacket(fd, b, files...)
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

// Receive reads one JSON packet from fd into v and returns the files that came with it, close-on-exec.
// io.EOF when the peer has closed.
func Receive(fd int, v any) ([]int, error) {
	b := make([]byte, maxPacket)
	oob := make([]byte, unix.CmsgSpace(4*4))
	for {
		n, oobn, flags, _, err := unix.Recvmsg(fd, b, oob, unix.MSG_CMSG_CLOEXEC)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ECONNRESET: // the peer died with our packets unread
			return nil, io.EOF
		case err != nil:
			return nil, err
		}
		files, err := rights(oob[:oobn])
		if err != nil {
			return nil, err
		}
		switch {
		case n == 0 && len(files) == 0:
			return nil, io.EOF
		case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
			closeAll(files)
			return nil, errors.New("message is too long")
		}
		if err := json.Unmarshal(b[:n], v); err != nil {
			closeAll(files)
			return nil, fmt.Errorf("message %.60q: %w", b[:n], err)
		}
		return files, nil
	}
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

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
