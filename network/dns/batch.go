package dns

import (
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batch takes what waits on a UDP socket of IPv4 with one system call, and gives the answers with another, which is a third more of them than by one call each. It
// has room for two, and grows as long as that is not enough: most containers never ask two things at once.
type batch struct {
	conn  syscall.RawConn
	slots []*slot
	in    []message // of slots, for recvmmsg(2)
	out   []message // for sendmmsg(2): what was answered

	receiving, sending func(fd uintptr) bool // made once, for they are allocated
	got                int                   // what the last call did
	errno              syscall.Errno         // or why it did nothing
}

// maxBatch is how many queries are taken at once. More gain nothing.
const maxBatch = 16

// slot is one query, where it came from, and the place for its answer. Memory that was never needed is never touched.
type slot struct {
	from          unix.RawSockaddrInet4
	query, answer []byte
	iov           unix.Iovec
}

// message is struct mmsghdr, recvmmsg(2).
type message struct {
	unix.Msghdr
	size uint32
}

func newBatch(udp *net.UDPConn) (*batch, error) {
	conn, err := udp.SyscallConn()
	if err != nil {
		return nil, err
	}
	b := &batch{conn: conn}
	b.receiving = func(fd uintptr) bool {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.in[0])), uintptr(len(b.in)), unix.MSG_DONTWAIT, 0, 0)
		b.got, b.errno = int(n), errno
		return errno != unix.EAGAIN
	}
	b.sending = func(fd uintptr) bool {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&b.out[0])), uintptr(len(b.out)), unix.MSG_DONTWAIT, 0, 0)
		b.got, b.errno = int(n), errno
		return errno != unix.EAGAIN
	}
	b.grow(2)
	return b, nil
}

func (b *batch) grow(n int) {
	for len(b.slots) < n {
		b.slots = append(b.slots, &slot{query: make([]byte, maxQuery), answer: make([]byte, maxUDP)})
	}
	b.in, b.out = make([]message, n), make([]message, 0, n)
}

// receive waits for queries and says how many there are. Those of before are gone.
func (b *batch) receive() (int, error) {
	if b.got == len(b.slots) && b.got < maxBatch {
		b.grow(2 * b.got)
	}
	for i, s := range b.slots {
		s.iov = unix.Iovec{Base: &s.query[0]}
		s.iov.SetLen(len(s.query))
		b.in[i] = message{Msghdr: unix.Msghdr{Name: (*byte)(unsafe.Pointer(&s.from)), Namelen: unix.SizeofSockaddrInet4, Iov: &s.iov, Iovlen: 1}}
	}
	err := b.conn.Read(b.receiving)
	if err == nil && b.errno != 0 {
		err = b.errno
	}
	if err != nil {
		b.got = 0
	}
	return b.got, err
}

// query is query i, and room that its answer may be written to.
func (b *batch) query(i int) (query, room []byte) {
	s := b.slots[i]
	return s.query[:b.in[i].size], s.answer[:0]
}

// from is where query i came from.
func (b *batch) from(i int) netip.AddrPort {
	s := b.slots[i]
	port := (*[2]byte)(unsafe.Pointer(&s.from.Port))
	return netip.AddrPortFrom(netip.AddrFrom4(s.from.Addr), binary.BigEndian.Uint16(port[:]))
}

// reply has send answer query i. The answer, not empty, must stay what it is until then.
func (b *batch) reply(i int, answer []byte) {
	s := b.slots[i]
	s.iov = unix.Iovec{Base: &answer[0]}
	s.iov.SetLen(len(answer))
	b.out = append(b.out, message{Msghdr: b.in[i].Msghdr})
}

// send gives the answers. One that cannot be given is left out, as who asks will ask again.
func (b *batch) send() {
	all, got := b.out, b.got
	for len(b.out) > 0 {
		if b.conn.Write(b.sending) != nil {
			break
		}
		if b.errno != 0 {
			b.got = 1 // the first is what it is about
		}
		b.out = b.out[b.got:]
	}
	b.out, b.got = all[:0], got
}
