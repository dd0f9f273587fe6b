package alarm

import (
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// notices is a netlink socket in multicast groups. It hears of this namespace and of all those that have an id in it
// (NETLINK_LISTEN_ALL_NSID, Linux 4.2), so that one socket does for every container.
type notices struct{ file *os.File }

// notice is one netlink message.
type notice struct {
	ns   int32 // id of the namespace that it is of; hostNS = the socket's own
	typ  uint16
	data []byte // after the netlink header; valid during the call
}

const (
	hostNS = -1

	// noticeBuffer holds what hundreds of containers that start at once cause while nobody gets to run. What does not fit is told by
	// ENOBUFS, netlink(7).
	noticeBuffer = 4 << 20
)

func listenNetlink(protocol int, groups ...int) (*notices, error) {
	fail := func(what string, err error) (*notices, error) {
		return nil, fmt.Errorf("cannot listen for changes of the network: %s: %w", what, err)
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return fail("socket", err)
	}
	// Both fail only where the daemon is confined: the buffer then stays small, and containers are not heard, see mayHear.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, noticeBuffer)
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_LISTEN_ALL_NSID, 1)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return fail("bind", err)
	}
	for _, g := range groups {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, g); err != nil {
			unix.Close(fd)
			return fail(fmt.Sprintf("group %d", g), err)
		}
	}
	return &notices{os.NewFile(uintptr(fd), "netlink")}, nil
}

// drain calls f for every message that is there, and does not wait; lost when the kernel had to drop some.
func (n *notices) drain(f func(notice)) (lost bool) {
	c, err := n.file.SyscallConn()
	if err != nil {
		return false // closed
	}
	buf, oob := make([]byte, 64<<10), make([]byte, 64)
	c.Control(func(fd uintptr) {
		for {
			size, oobSize, flags, _, err := unix.Recvmsg(int(fd), buf, oob, 0)
			switch {
			case err == unix.EINTR:
				continue
			case err == unix.ENOBUFS:
				lost = true
				continue
			case err != nil: // EAGAIN: nothing is left
				return
			}
			lost = lost || flags&unix.MSG_TRUNC != 0
			ns := namespaceOf(oob[:oobSize])
			for b := buf[:size]; len(b) >= unix.NLMSG_HDRLEN; {
				length := int(binary.NativeEndian.Uint32(b))
				if length < unix.NLMSG_HDRLEN || length > len(b) {
					break
				}
				f(notice{ns, binary.NativeEndian.Uint16(b[4:]), b[unix.NLMSG_HDRLEN:length]})
				b = b[min(align4(length), len(b)):]
			}
		}
	})
	return lost
}

func align4(n int) int { return (n + 3) &^ 3 }

// namespaceOf reads the control message by which the kernel says that a notice is of another namespace.
func namespaceOf(oob []byte) int32 {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return hostNS
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_NETLINK && m.Header.Type == unix.NETLINK_LISTEN_ALL_NSID && len(m.Data) >= 4 {
			return int32(binary.NativeEndian.Uint32(m.Data))
		}
	}
	return hostNS
}

// attribute is the value of netlink attribute typ in the attributes b; nil when it is not there.
func attribute(b []byte, typ uint16) []byte {
	for len(b) >= unix.SizeofNlAttr {
		length, t := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if length < unix.SizeofNlAttr || length > len(b) {
			return nil
		}
		if t&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER) == typ {
			return b[unix.SizeofNlAttr:length]
		}
		b = b[min(align4(length), len(b)):]
	}
	return nil
}

// text is an attribute that is a string.
func text(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
