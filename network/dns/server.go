package dns

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Addr is where containers find their DNS server, on port 53: the address that docker uses and configurations name.
var Addr = netip.AddrFrom4([4]byte{127, 0, 0, 11})

// Sockets are one container's listening sockets, on ports above the range that the kernel hands out
// by itself, so that they meet a port of the container's own as rarely as possible.
type Sockets struct {
	udp *net.UDPConn
	tcp *net.TCPListener
}

// Listen opens the sockets. Precondition: the goroutine is locked to a thread in the container's namespace, whose lo is up.
func Listen() (*Sockets, error) {
	const first, tries = 61000, 20
	var last error
	for range tries {
		port := uint16(first + rand.IntN(65536-first))
		at := netip.AddrPortFrom(Addr, port)
		udp, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
		if err == nil {
			var tcp *net.TCPListener
			if tcp, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at)); err == nil {
				return &Sockets{udp, tcp}, nil
			}
			udp.Close()
		}
		if last = err; !errors.Is(err, unix.EADDRINUSE) {
			break
		}
	}
	return nil, fmt.Errorf("cannot listen for DNS at %s: %w", Addr, last)
}

// Port is the port of both sockets.
func (s *Sockets) Port() uint16 { return uint16(s.tcp.Addr().(*net.TCPAddr).Port) }

// Close closes sockets that no Server serves.
func (s *Sockets) Close() {
	s.udp.Close()
	s.tcp.Close()
}

// Server answers on one container's sockets until Close.
type Server struct {
	view   atomic.Pointer[View]
	socks  *Sockets
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	slots  chan struct{} // queries of this container that are under way outside
	lost   func()
	broken atomic.Bool

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

const (
	maxQuery  = 4096
	maxConns  = 64 // TCP connections of one container
	tcpIdle   = 10 * time.Second
	tcpAnswer = 65535

	// maxOutside is far below maxForwarded: one container that asks without end must leave room for the others. It is taken before
	// anything is spent on a query.
	maxOutside = 64
)

// Serve starts answering on s from v. It owns s from now on. lost is called when it has become Broken.
func Serve(s *Sockets, v *View, lost func()) *Server {
	srv := &Server{socks: s, conns: map[net.Conn]struct{}{}, slots: make(chan struct{}, maxOutside), lost: lost}
	srv.view.Store(v)
	srv.ctx, srv.cancel = context.WithCancel(context.Background())
	srv.wg.Add(2)
	go srv.serveUDP()
	go srv.serveTCP()
	return srv
}

// See answers from v from now on.
func (s *Server) See(v *View) { s.view.Store(v) }

// Broken says whether other hands have taken the server's listening socket from it.
func (s *Server) Broken() bool { return s.broken.Load() }

// Port is that of its Sockets.
func (s *Server) Port() uint16 { return s.socks.Port() }

// Close closes the sockets and waits until nothing of the server runs.
func (s *Server) Close() {
	s.cancel()
	s.socks.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *Server) serveUDP() {
	defer s.wg.Done()
	b, err := newBatch(s.socks.udp)
	if err != nil {
		return // closed
	}
	for {
		n, err := b.receive()
		if err != nil {
			if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			continue // ICMP errors of earlier answers come out here
		}
		view := s.view.Load()
		for i := range n {
			query, room := b.query(i)
			resp, what := view.answer(query, room, 0)
			switch what {
			case answered:
				b.reply(i, resp)
			case elsewhere:
				if !s.begin() {
					b.reply(i, failure(query))
					continue
				}
				query, from := bytes.Clone(query), b.from(i)
				s.wg.Go(func() {
					defer s.done()
					s.socks.udp.WriteToUDPAddrPort(s.forward(query, false), from)
				})
			}
		}
		b.send()
	}
}

// begin takes a place for a query outside, which done gives back; false when the container has none left.
func (s *Server) begin() bool {
	select {
	case s.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s *Server) done() { <-s.slots }

// forward asks outside; without an answer it makes the one that says so. Precondition: begin.
func (s *Server) forward(query []byte, tcp bool) []byte {
	out := s.view.Load().Out
	if out == nil { // since the query was looked at, the container has lost its way out
		return failure(query)
	}
	resp, err := out.Exchange(s.ctx, query, tcp)
	if err == nil {
		return resp
	}
	return failure(query)
}

// failure is SERVFAIL for query, on which a resolver asks the next server or tells its program.
func failure(query []byte) []byte {
	var scratch [256]byte
	q, _, _ := parse(query, scratch[:])
	return finish(reply(nil, query, &q, rcodeServFail), &q, 0)
}

func (s *Server) serveTCP() {
	defer s.wg.Done()
	for {
		c, err := s.socks.tcp.Accept()
		if err != nil {
			if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			if errors.Is(err, unix.EINVAL) { // it does not listen any more: SOCK_DESTROY, as by `ss --kill`
				s.broken.Store(true)
				s.lost()
				return
			}
			// Out of descriptors, most likely: let others finish first.
			select {
			case <-s.ctx.Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		if !s.track(c) {
			c.Close()
			continue
		}
		s.wg.Go(func() {
			defer s.untrack(c)
			s.serveConn(c)
		})
	}
}

func (s *Server) track(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil || len(s.conns) >= maxConns {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) untrack(c net.Conn) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

func (s *Server) serveConn(c net.Conn) {
	var buf, out []byte
	for {
		c.SetDeadline(time.Now().Add(tcpIdle))
		msg, err := readTCP(c, buf)
		if err != nil {
			return
		}
		buf = msg
		resp, what := s.view.Load().answer(msg, out, tcpAnswer)
		switch what {
		case ignored:
			return
		case elsewhere:
			if s.begin() {
				resp = s.forward(msg, true)
				s.done()
			} else {
				resp = failure(msg)
			}
		}
		out = resp
		framed := append(binary.BigEndian.AppendUint16(make([]byte, 0, len(resp)+2), uint16(len(resp))), resp...)
		if _, err := c.Write(framed); err != nil {
			return
		}
	}
}
