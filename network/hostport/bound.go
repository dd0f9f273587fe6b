package hostport

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// bound is a TCP socket that has an address and keeps others off it, and does not listen: who connects is refused.
//
// A socket that only is bound keeps those off that set SO_REUSEADDR, as most do, if it has not set that itself (socket(7)). But without it
// bind(2) fails as long as a connection of whoever had the port before is in TIME-WAIT.
type bound struct {
	fd int
	at netip.AddrPort
}

// bindTCP binds at; port 0 = any that is free.
func bindTCP(at netip.AddrPort) (bound, error) {
	b, err := newBound(at, false)
	if !errors.Is(err, unix.EADDRINUSE) || at.Port() == 0 {
		return b, err
	}
	// Somebody has it, or had it. With SO_REUSEADDR listen(2) tells the one from the other; who connects in between is reset.
	if b, err = newBound(at, true); err != nil {
		return b, err
	}
	if err = unix.Listen(b.fd, 1); err == nil {
		err = unix.Shutdown(b.fd, unix.SHUT_RD) // it is bound still, since it was to a port that was asked for
	}
	if err == nil {
		err = b.share(false)
	}
	if err != nil {
		b.Close()
	}
	return b, err
}

func newBound(at netip.AddrPort, share bool) (b bound, err error) {
	family, address := unix.AF_INET, unix.Sockaddr(nil)
	if a := at.Addr().Unmap(); a.Is4() {
		address = &unix.SockaddrInet4{Port: int(at.Port()), Addr: a.As4()}
	} else {
		family, address = unix.AF_INET6, &unix.SockaddrInet6{Port: int(at.Port()), Addr: a.As16(), ZoneId: zone(a.Zone())}
	}
	if b.fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return b, err
	}
	defer func() {
		if err != nil {
			b.Close()
		}
	}()
	if family == unix.AF_INET6 {
		if err = unix.SetsockoptInt(b.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return b, err
		}
	}
	if share {
		if err = b.share(true); err != nil {
			return b, err
		}
	}
	if err = unix.Bind(b.fd, address); err != nil {
		return b, err
	}
	var ok bool
	if b.at, ok = localOf(b.fd); !ok {
		return b, errors.New("the kernel does not say which port it has chosen")
	}
	return b, nil
}

// zone is the index of the interface of a link-local address; 0 = none.
func zone(name string) uint32 {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n)
	}
	if link, err := net.InterfaceByName(name); err == nil {
		return uint32(link.Index)
	}
	return 0
}

// localOf is the address of the socket fd, false when it is not one of TCP/IP.
func localOf(fd int) (netip.AddrPort, bool) {
	if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_STREAM {
		return netip.AddrPort{}, false
	}
	switch sa, _ := unix.Getsockname(fd); sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), true
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)), true
	}
	return netip.AddrPort{}, false
}

func (b bound) share(yes bool) error {
	value := 0
	if yes {
		value = 1
	}
	return unix.SetsockoptInt(b.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, value)
}

// listen makes b a listener, which has the descriptor from then on. When it fails b is as it was.
func (b bound) listen() (*net.TCPListener, error) {
	const backlog = 4096 // the kernel's bound counts, net.core.somaxconn
	if err := b.share(true); err != nil {
		return nil, err
	}
	if err := unix.Listen(b.fd, backlog); err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(b.fd), "port") // FileListener makes a copy
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	f.Close()
	return l.(*net.TCPListener), nil
}

// Close frees the port, also when a process that was forked meanwhile has a copy of the socket until its execve.
func (b bound) Close() {
	_ = b.share(true) // a socket that shares and does not listen is in nobody's way
	unix.Close(b.fd)
}

// holds says whether this process has proto port bound on an address that meets host with a socket that does not listen, which the kernel lists nowhere.
func holds(proto string, host netip.Addr, port uint16) bool {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil || proto != "tcp" {
		return false
	}
	return slices.ContainsFunc(fds, func(e os.DirEntry) bool {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			return false
		}
		at, ok := localOf(fd)
		if !ok || at.Port() != port || !meets(at.Addr(), host) {
			return false
		}
		_, err = unix.Getpeername(fd)
		return err == unix.ENOTCONN
	})
}
