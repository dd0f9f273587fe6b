// Package hostport holds ports of the host: a bound socket keeps other programs off a published port, and carries
// those connections that the firewall does not forward ([::1], and IPv6 to a container that has none). It accepts none before there is
// somebody to carry them to.
package hostport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
)

// Reservation is one port of the host on one address, or on all.
type Reservation struct {
	Proto string
	Host  netip.Addr // zero = all
	Port  uint16

	bound []bound // TCP sockets that do not listen yet
	tcp   []*net.TCPListener
	udp   []*net.UDPConn

	mu    sync.Mutex      // guards what follows
	proxy map[any]carrier // by the socket that it reads from
}

// carrier is a proxy.
type carrier interface {
	retarget(to netip.AddrPort)
	forget(a netip.Addr)
	Close()
}

// Reserve binds proto port on host; host zero = every IPv4 and, where the kernel has it, IPv6 address; port 0 = one that is
// free on all of them. ErrConflict when it is taken; Owner says by whom.
func Reserve(proto string, host netip.Addr, port uint16) (*Reservation, error) {
	const tries = 50 // for port 0: one free in IPv4 may be taken in IPv6
	for i := 0; ; i++ {
		r, err := reserve(proto, host, port)
		if err == nil || port != 0 || i == tries || !errors.Is(err, errdefs.ErrConflict) {
			return r, err
		}
	}
}

func reserve(proto string, host netip.Addr, port uint16) (*Reservation, error) {
	r := &Reservation{Proto: proto, Host: host, Port: port}
	hosts := []netip.Addr{host}
	if !host.IsValid() {
		hosts = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	for _, h := range hosts {
		err := r.bind(h)
		if err == nil {
			continue
		}
		if !host.IsValid() && h.Is6() && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)) {
			continue // a host without IPv6
		}
		r.Close()
		switch {
		case errors.Is(err, unix.EADDRINUSE):
			return nil, errdefs.With(errdefs.ErrConflict, fmt.Errorf("port %s is taken", Name(proto, h, r.Port)))
		case errors.Is(err, unix.EADDRNOTAVAIL):
			return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("this host has no address %s", h))
		}
		return nil, fmt.Errorf("cannot bind %s: %w", Name(proto, h, r.Port), err)
	}
	return r, nil
}

// bind adds the socket for h.
func (r *Reservation) bind(h netip.Addr) error {
	at := netip.AddrPortFrom(h, r.Port)
	if r.Proto == "udp" {
		family := "4"
		if h.Is6() {
			family = "6"
		}
		c, err := net.ListenUDP("udp"+family, net.UDPAddrFromAddrPort(at))
		if err != nil {
			return err
		}
		r.udp = append(r.udp, c)
		r.Port = uint16(c.LocalAddr().(*net.UDPAddr).Port)
		return nil
	}
	b, err := bindTCP(at)
	if err != nil {
		return err
	}
	r.bound = append(r.bound, b)
	r.Port = b.at.Port()
	return nil
}

// Families says which of IPv4 and IPv6 are reserved.
func (r *Reservation) Families() (v4, v6 bool) {
	for _, a := range r.addrs() {
		v4, v6 = v4 || a.Is4(), v6 || a.Is6()
	}
	return v4, v6
}

func (r *Reservation) addrs() (all []netip.Addr) {
	for _, b := range r.bound {
		all = append(all, b.at.Addr())
	}
	for _, l := range r.tcp {
		all = append(all, address(l.Addr()))
	}
	for _, c := range r.udp {
		all = append(all, address(c.LocalAddr()))
	}
	return all
}

// address is that of a TCP or UDP socket.
func address(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr()
	}
	return a.(*net.UDPAddr).AddrPort().Addr()
}

// Serve carries what arrives at the sockets to the container: over IPv6 always, since the firewall cannot forward [::1]; over IPv4 only to a container that
// has no IPv4 address. v6 says that the firewall forwards what else there is of IPv6. What it forwards is dropped where it arrives all the same, see mute.
// Called again, it names the container for what comes from then on; what is being carried goes on as it is. It returns at once. Precondition: what the
// firewall can forward it forwards, for from here on connections are accepted.
func (r *Reservation) Serve(to netip.AddrPort, v6 bool) error {
	proxied := func(a netip.Addr) bool { return a.Is6() || to.Addr().Is6() }
	filter := func(fd int, a netip.Addr) error {
		if a.Is4() && proxied(a) || a.Is6() && !v6 {
			return unmute(fd)
		}
		return mute(fd, a)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	fail := func(a netip.Addr, err error) error {
		return fmt.Errorf("cannot listen on %s: %w", Name(r.Proto, a, r.Port), err)
	}
	for _, l := range r.tcp {
		a := address(l.Addr())
		if err := control(l, func(fd int) error { return filter(fd, a) }); err != nil {
			return fail(a, err)
		}
	}
	for len(r.bound) > 0 {
		a := r.bound[0].at.Addr()
		if err := filter(r.bound[0].fd, a); err != nil {
			return fail(a, err)
		}
		l, err := r.bound[0].listen()
		if err != nil {
			return fail(a, err)
		}
		r.bound, r.tcp = r.bound[1:], append(r.tcp, l)
	}
	if r.proxy == nil {
		r.proxy = map[any]carrier{}
	}
	carry := func(socket any, at net.Addr, begin func() carrier) {
		if p := r.proxy[socket]; p != nil {
			p.retarget(to)
		} else if proxied(address(at)) {
			r.proxy[socket] = begin()
		}
	}
	for _, l := range r.tcp {
		carry(l, l.Addr(), func() carrier { return serveTCP(l, to) })
	}
	for _, c := range r.udp {
		carry(c, c.LocalAddr(), func() carrier { return serveUDP(c, to) })
	}
	return nil
}

// Forget ends what is being carried without a connection, that is UDP, to containers that are gone.
func (r *Reservation) Forget(addrs ...netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.proxy {
		for _, a := range addrs {
			p.forget(a)
		}
	}
}

// Close frees the port and ends what is being carried. Postcondition: Reserve gets the port.
//
// To close the descriptor is not enough: a process that has been forked meanwhile has a copy of it until its execve, and the socket keeps the
// port as long as one is left.
func (r *Reservation) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.bound {
		b.Close()
	}
	for _, l := range r.tcp {
		unlisten(l)
	}
	var copies []string
	for _, c := range r.udp {
		copies = append(copies, inode(c))
	}
	for _, p := range r.proxy {
		p.Close()
	}
	for _, l := range r.tcp {
		l.Close()
	}
	for _, c := range r.udp {
		c.Close()
	}
	awaitClosed(copies)
	r.proxy, r.bound, r.tcp, r.udp = nil, nil, nil, nil
}

// unlisten ends the state LISTEN of the socket itself, whoever has copies of it. With SO_REUSEADDR, which package net sets, a socket
// in another state is in nobody's way (socket(7)).
func unlisten(l *net.TCPListener) {
	raw, err := l.SyscallConn()
	if err != nil {
		return // closed
	}
	_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
}

// inode is the number of c's socket in /proc/net/udp, "" = c is closed.
func inode(c *net.UDPConn) (ino string) {
	raw, err := c.SyscallConn()
	if err != nil {
		return ""
	}
	_ = raw.Control(func(fd uintptr) {
		var st unix.Stat_t
		if unix.Fstat(int(fd), &st) == nil {
			ino = strconv.FormatUint(st.Ino, 10)
		}
	})
	return ino
}

// awaitClosed waits until no copy of the UDP sockets with these inodes is left, for they have nothing like unlisten. It asks the kernel again and
// again, which tells nobody of it; the copies go within a millisecond, or as soon as the child gets a processor.
func awaitClosed(inodes []string) {
	const most = 2 * time.Second
	deadline := time.Now().Add(most)
	for pause := 100 * time.Microsecond; open("udp", inodes) && time.Now().Before(deadline); pause = min(2*pause, 10*time.Millisecond) {
		time.Sleep(pause)
	}
}

// open says whether one of proto's sockets has one of the inodes.
func open(proto string, inodes []string) bool {
	return len(inodes) > 0 && slices.ContainsFunc(sockets(proto), func(s socket) bool { return slices.Contains(inodes, s.inode) })
}

// Name writes a port as users do: 0.0.0.0:80/tcp.
func Name(proto string, host netip.Addr, port uint16) string {
	if !host.IsValid() {
		host = netip.IPv4Unspecified()
	}
	return netip.AddrPortFrom(host, port).String() + "/" + proto
}
