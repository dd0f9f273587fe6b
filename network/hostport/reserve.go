// Package hostport holds ports of the host: a bound socket keeps other programs off a published port, and carries
// those connections that the firewall does not forward ([::1], and IPv6 to a container that has none).
package hostport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
)

// Reservation is one port of the host on one address, or on all.
type Reservation struct {
	Proto string
	Host  netip.Addr // zero = all
	Port  uint16

	tcp []*net.TCPListener
	udp []*net.UDPConn

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

// bind adds the socket for h. TCP sockets listen: an unconnected one that only is bound would not keep off a program that
// sets SO_REUSEADDR (socket(7)), and most do.
func (r *Reservation) bind(h netip.Addr) error {
	family := "4"
	if h.Is6() {
		family = "6"
	}
	at := netip.AddrPortFrom(h, r.Port)
	if r.Proto == "udp" {
		c, err := net.ListenUDP("udp"+family, net.UDPAddrFromAddrPort(at))
		if err != nil {
			return err
		}
		r.udp = append(r.udp, c)
		r.Port = uint16(c.LocalAddr().(*net.UDPAddr).Port)
		return nil
	}
	l, err := net.ListenTCP("tcp"+family, net.TCPAddrFromAddrPort(at))
	if err != nil {
		return err
	}
	r.tcp = append(r.tcp, l)
	r.Port = uint16(l.Addr().(*net.TCPAddr).Port)
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
	for _, l := range r.tcp {
		all = append(all, l.Addr().(*net.TCPAddr).AddrPort().Addr())
	}
	for _, c := range r.udp {
		all = append(all, c.LocalAddr().(*net.UDPAddr).AddrPort().Addr())
	}
	return all
}

// Serve carries what arrives at the sockets to the container: for IPv6 always, since the firewall cannot forward [::1];
// for IPv4 only to a container that has no IPv4 address. Called again, it names the container for what comes from then on;
// what is being carried goes on as it is. It returns at once.
func (r *Reservation) Serve(to netip.AddrPort) {
	needed := func(a net.Addr) bool {
		ap, err := netip.ParseAddrPort(a.String())
		return err == nil && (ap.Addr().Is6() || to.Addr().Is6())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.proxy == nil {
		r.proxy = map[any]carrier{}
	}
	carry := func(socket any, at net.Addr, begin func() carrier) {
		if p := r.proxy[socket]; p != nil {
			p.retarget(to)
		} else if needed(at) {
			r.proxy[socket] = begin()
		}
	}
	for _, l := range r.tcp {
		carry(l, l.Addr(), func() carrier { return serveTCP(l, to) })
	}
	for _, c := range r.udp {
		carry(c, c.LocalAddr(), func() carrier { return serveUDP(c, to) })
	}
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

// Close frees the port and ends what is being carried.
func (r *Reservation) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.proxy {
		p.Close()
	}
	for _, l := range r.tcp {
		l.Close()
	}
	for _, c := range r.udp {
		c.Close()
	}
	r.proxy, r.tcp, r.udp = nil, nil, nil
}

// Name writes a port as users do: 0.0.0.0:80/tcp.
func Name(proto string, host netip.Addr, port uint16) string {
	if !host.IsValid() {
		host = netip.IPv4Unspecified()
	}
	return netip.AddrPortFrom(host, port).String() + "/" + proto
}
