package child

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/rawfd"
	"github.com/stackrun/stack/runtime/proto"
)

// Reports reads what a child says.
type Reports struct{ file *os.File }

// Next is the next Report with the descriptors that came along, owned by the caller. io.EOF
// when the other end is closed.
func (r *Reports) Next() (rep *proto.Report, fds []int, err error) {
	err = r.recv(func(b, oob []byte, flags int) (err error) {
		if fds, err = rights(oob); err != nil {
			return err
		}
		rep = new(proto.Report)
		if flags&unix.MSG_TRUNC != 0 {
			err = fmt.Errorf("a report of more than %d bytes", len(b))
		} else if err = proto.Decode(b, rep); err != nil {
			err = fmt.Errorf("cannot read a report: %w", err)
		}
		return err
	})
	if err != nil {
		rawfd.CloseAll(fds)
		return nil, nil, err
	}
	return rep, fds, nil
}

// Close hangs up. A Next that waits ends with os.ErrClosed.
func (r *Reports) Close() error { return r.file.Close() }

// packet is room for a report and for the descriptors that come along.
type packet struct {
	b   [64 << 10]byte
	oob [32]byte // for one, with what is around it: unix.CmsgSpace(4*4)
}

// packets are given back while a report is waited for: an exec waits for its end as long as that takes.
var packets = sync.Pool{New: func() any { return new(packet) }}

// recv receives one packet, waiting in the runtime's poller, and lets take have it, for as long as that takes. io.EOF at its end: a packet of
// zero bytes does not occur.
func (r *Reports) recv(take func(b, oob []byte, flags int) error) error {
	c, err := r.file.SyscallConn()
	if err != nil {
		return err
	}
	var rerr error
	err = c.Read(func(fd uintptr) bool {
		p := packets.Get().(*packet)
		defer packets.Put(p)
		for {
			n, oobn, flags, _, err := unix.Recvmsg(int(fd), p.b[:], p.oob[:], unix.MSG_CMSG_CLOEXEC)
			switch {
			case err == unix.EINTR || err == unix.ECONNRESET: // that is said once, before what the peer had sent, see proto.ReceivePacket
				continue
			case err == unix.EAGAIN:
				return false
			case err != nil:
				rerr = err
			case n == 0:
				rerr = io.EOF
			default:
				rerr = take(p.b[:n], p.oob[:oobn], flags)
			}
			return true
		}
	})
	if err != nil {
		return err
	}
	return rerr
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
			rawfd.CloseAll(fds)
			return nil, err
		}
		fds = append(fds, got...)
	}
	return fds, nil
}
