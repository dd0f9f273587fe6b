package dns

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"
)

// Forwarder asks other servers, from the network namespace of the daemon. Safe for concurrent use.
type Forwarder struct {
	servers func() []netip.AddrPort
	slots   chan struct{} // bounds the queries under way
}

const (
	maxForwarded = 1024
	// A stub resolver gives up after 5 s (resolv.conf(5), timeout). It shall hear SERVFAIL before that.
	totalTimeout = 4500 * time.Millisecond
	// After this long without an answer the next server is asked too.
	nextServer = time.Second
	retransmit = 1500 * time.Millisecond
)

// NewForwarder makes a Forwarder over servers, which is called for each query and must be cheap.
func NewForwarder(servers func() []netip.AddrPort) *Forwarder {
	return &Forwarder{servers: servers, slots: make(chan struct{}, maxForwarded)}
}

var errNoServer = errors.New("no name server is known")

// Exchange sends query and returns the answer with the query's own id. tcp says how the client
// asked: over UDP an answer larger than the client takes is cut and marked.
func (f *Forwarder) Exchange(ctx context.Context, query []byte, tcp bool) ([]byte, error) {
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	default:
		return nil, fmt.Errorf("more than %d queries under way", maxForwarded)
	}
	var scratch [256]byte
	q, _, ok := parse(query, scratch[:])
	if !ok {
		return nil, errors.New("not a query")
	}
	servers := f.servers()
	if len(servers) == 0 {
		return nil, errNoServer
	}
	ctx, cancel := context.WithTimeout(ctx, totalTimeout)
	defer cancel()
	resp, err := race(ctx, servers, func(ctx context.Context, s netip.AddrPort) ([]byte, error) {
		return ask(ctx, s, query, q.end, tcp)
	})
	if err != nil {
		return nil, err
	}
	copy(resp, query[:2])
	if !tcp && len(resp) > q.udp {
		resp = cut(resp, q.end)
	}
	return resp, nil
}

// race asks the servers one after the other, the next one when the last has failed or is slow, and
// takes the first good answer. A bad one (SERVFAIL, REFUSED) is taken when there is none better.
func race(ctx context.Context, servers []netip.AddrPort, ask func(context.Context, netip.AddrPort) ([]byte, error)) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		resp []byte
		err  error
	}
	results := make(chan result, len(servers))
	next, running := 0, 0
	start := func() {
		s := servers[next]
		next++
		running++
		go func() {
			resp, err := ask(ctx, s)
			results <- result{resp, err}
		}()
	}
	start()
	timer := time.NewTimer(nextServer)
	defer timer.Stop()
	var bad []byte
	var last error
	for running > 0 {
		select {
		case r := <-results:
			running--
			if r.err == nil && goodCode(r.resp) {
				return r.resp, nil
			}
			if r.err == nil {
				bad = r.resp
			} else {
				last = r.err
			}
			if next < len(servers) {
				start()
			}
		case <-timer.C:
			if next < len(servers) {
				start()
				timer.Reset(nextServer)
			}
		case <-ctx.Done():
			if bad != nil {
				return bad, nil
			}
			return nil, ctx.Err()
		}
	}
	if bad != nil {
		return bad, nil
	}
	return nil, last
}

func goodCode(resp []byte) bool {
	code := resp[3] & 0x0f
	return code == 0 || code == rcodeNXDomain
}

// ask asks one server: over UDP, and over TCP when the client did or the answer was truncated.
func ask(ctx context.Context, server netip.AddrPort, query []byte, end int, tcp bool) ([]byte, error) {
	if !tcp {
		resp, err := askUDP(ctx, server, query, end)
		if err != nil || resp[2]&flagTC == 0 {
			return resp, err
		}
		if whole, err := askTCP(ctx, server, query, end); err == nil {
			return whole, nil
		}
		return resp, nil
	}
	return askTCP(ctx, server, query, end)
}

// withID is a copy of query under an id of our own: with the random source port of a fresh socket it is what makes
// a forged answer hard (RFC 5452).
func withID(query []byte) []byte {
	own := bytes.Clone(query)
	binary.BigEndian.PutUint16(own, uint16(rand.Uint32()))
	return own
}

// answers says whether resp belongs to query, whose question ends at end, and has that one only. Servers may change the case of the name.
func answers(resp, query []byte, end int) bool {
	return len(resp) >= end && resp[0] == query[0] && resp[1] == query[1] && resp[2]&flagQR != 0 && bytes.Equal(resp[4:6], query[4:6]) &&
		bytes.EqualFold(resp[headerLen:end], query[headerLen:end])
}

func askUDP(ctx context.Context, server netip.AddrPort, query []byte, end int) ([]byte, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	query = withID(query)
	buf := make([]byte, 65535)
	for {
		if _, err := conn.Write(query); err != nil {
			return nil, err
		}
		conn.SetReadDeadline(time.Now().Add(retransmit))
		if ctx.Err() != nil { // the deadline that AfterFunc set may have just been overwritten
			return nil, ctx.Err()
		}
		for {
			n, err := conn.Read(buf)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if nerr := net.Error(nil); errors.As(err, &nerr) && nerr.Timeout() {
				break
			}
			if err != nil {
				return nil, err
			}
			if answers(buf[:n], query, end) {
				return bytes.Clone(buf[:n]), nil
			}
		}
	}
}

func askTCP(ctx context.Context, server netip.AddrPort, query []byte, end int) ([]byte, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	query = withID(query)
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)); err != nil {
		return nil, err
	}
	resp, err := readTCP(conn, nil)
	if err != nil {
		return nil, err
	}
	if !answers(resp, query, end) {
		return nil, fmt.Errorf("%s answered another question", server)
	}
	return resp, nil
}

// readTCP reads one message with its length before it: RFC 1035 section 4.2.2.
func readTCP(r io.Reader, buf []byte) ([]byte, error) {
	var n [2]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint16(n[:]))
	if cap(buf) < size {
		buf = make([]byte, size)
	}
	_, err := io.ReadFull(r, buf[:size])
	return buf[:size], err
}

// cut makes of resp an empty answer with the truncation mark: the client asks again over TCP.
func cut(resp []byte, end int) []byte {
	resp = resp[:end]
	resp[2] |= flagTC
	clear(resp[6:headerLen])
	return resp
}
