package hostport

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// tcpProxy carries connections from a listener to a container.
type tcpProxy struct {
	l      *net.TCPListener
	to     atomic.Pointer[netip.AddrPort]
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func serveTCP(l *net.TCPListener, to netip.AddrPort) *tcpProxy {
	p := &tcpProxy{l: l}
	p.retarget(to)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.wg.Go(p.accept)
	return p
}

// retarget sends connections that come from now on to another container.
func (p *tcpProxy) retarget(to netip.AddrPort) { p.to.Store(&to) }

// forget has nothing to do: what is carried ends with the container's socket.
func (p *tcpProxy) forget(netip.Addr) {}

func (p *tcpProxy) Close() {
	p.cancel()
	p.l.Close()
	p.wg.Wait()
}

func (p *tcpProxy) accept() {
	for {
		c, err := p.l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of descriptors, most likely: let others finish first.
			select {
			case <-p.ctx.Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		p.wg.Go(func() { p.carry(c) })
	}
}

func (p *tcpProxy) carry(c *net.TCPConn) {
	defer c.Close()
	var d net.Dialer
	b, err := d.DialContext(p.ctx, "tcp", p.to.Load().String())
	if err != nil {
		c.SetLinger(0) // the client shall see a reset, as it would without a proxy between
		return
	}
	back := b.(*net.TCPConn)
	defer back.Close()
	stop := context.AfterFunc(p.ctx, func() { c.Close(); back.Close() })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { half(back, c) })
	both.Go(func() { half(c, back) })
	both.Wait()
}

// half copies one direction and hands its end on: a client that has sent all may still want the answer.
func half(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		from.Close()
		to.Close()
		return
	}
	to.CloseWrite()
}

// udpProxy carries datagrams, with one socket towards the container per client.
type udpProxy struct {
	c  *net.UDPConn
	wg sync.WaitGroup

	mu      sync.Mutex
	to      netip.AddrPort
	closed  bool
	clients map[netip.AddrPort]*net.UDPConn
}

const (
	udpIdle    = 90 * time.Second
	udpClients = 1024 // more at a time are dropped: a datagram costs its sender nothing, a socket costs us one
)

func serveUDP(c *net.UDPConn, to netip.AddrPort) *udpProxy {
	p := &udpProxy{c: c, to: to, clients: map[netip.AddrPort]*net.UDPConn{}}
	p.wg.Go(p.receive)
	return p
}

// retarget sends the datagrams of clients that come from now on to another container.
func (p *udpProxy) retarget(to netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = to
}

// forget cuts the clients of a container that is gone off from it: their next datagram goes to the present one.
func (p *udpProxy) forget(a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for client, back := range p.clients {
		if back.RemoteAddr().(*net.UDPAddr).AddrPort().Addr().Unmap() == a {
			back.Close()
			delete(p.clients, client)
		}
	}
}

func (p *udpProxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.c.Close()
	for _, back := range p.clients {
		back.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *udpProxy) receive() {
	buf := make([]byte, 65535)
	for {
		n, from, err := p.c.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of an earlier answer
		}
		if back := p.client(from); back != nil {
			back.SetReadDeadline(time.Now().Add(udpIdle))
			back.Write(buf[:n])
		}
	}
}

func (p *udpProxy) client(from netip.AddrPort) *net.UDPConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if back := p.clients[from]; back != nil || p.closed || len(p.clients) >= udpClients {
		return back
	}
	back, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(p.to))
	if err != nil {
		return nil
	}
	p.clients[from] = back
	p.wg.Go(func() { p.answers(from, back) })
	return back
}

// answers brings the container's datagrams back to the client until it has been silent for udpIdle.
func (p *udpProxy) answers(client netip.AddrPort, back *net.UDPConn) {
	defer func() {
		back.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.clients[client] == back { // not one that took its place
			delete(p.clients, client)
		}
	}()
	buf := make([]byte, 65535)
	for {
		n, err := back.Read(buf)
		if nerr := net.Error(nil); errors.Is(err, net.ErrClosed) || errors.As(err, &nerr) && nerr.Timeout() {
			return
		}
		if err != nil {
			continue // nobody listens in the container yet
		}
		p.c.WriteToUDPAddrPort(buf[:n], client)
	}
}
