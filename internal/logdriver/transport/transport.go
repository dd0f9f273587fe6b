// Package transport is the connection over which the messages of a logging driver go to a receiver: a stream or datagrams, on the network or to a socket of this host.
package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/logdriver"
)

// Bounds of one attempt to connect, and of how long a write waits for a receiver that takes nothing.
const (
	dialTime  = 10 * time.Second
	writeTime = 30 * time.Second
)

// Conn is a connection to a receiver. Write is for one goroutine at a time; Close may come from any.
type Conn struct {
	net.Conn
	Stream bool // what is written has no boundaries

	raw  *counted // below TLS
	gone chan struct{}
}

// counted counts what goes out as the kernel counts what waits of it. Of TCP that are bytes: of TLS there are more than were handed over, and its own. Of a stream to a socket of this host it is the
// memory that holds what was not read, many times as much for short lines. It is by how much that grows with a write: too little if something is read meanwhile.
type counted struct {
	net.Conn
	memory  bool
	written atomic.Int64
	patient atomic.Bool // a write may go on as long as something is taken
}

// Write waits, if c is patient, for who takes something now and then: that is no receiver who is away, however slow it is.
func (c *counted) Write(b []byte) (done int, _ error) {
	before, _ := c.waiting() // a fault comes again
	for {
		n, err := c.write(b[done:])
		if done += n; !c.patient.Load() || !errors.Is(err, os.ErrDeadlineExceeded) {
			return done, err
		}
		after, fault := c.waiting()
		if fault != nil || !c.took(before, n, after) {
			return done, errors.Join(err, fault)
		}
		before = after
		if err := c.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
			return done, err
		}
	}
}

// took says whether the peer has taken something while n bytes were written and what waits for it went from before to after. At a socket of this host more waits than bytes: there that some were
// written says so too, once too often.
func (c *counted) took(before int64, n int, after int64) bool {
	if c.memory {
		return n > 0 || after < before
	}
	return after < before+int64(n)
}

func (c *counted) write(b []byte) (int, error) {
	if !c.memory {
		n, err := c.Conn.Write(b)
		c.written.Add(int64(n))
		return n, err
	}
	before, fault := c.waiting()
	if fault != nil {
		return 0, fault
	}
	n, err := c.Conn.Write(b)
	after, fault := c.waiting()
	c.written.Add(max(after-before, 0))
	return n, errors.Join(err, fault)
}

// waiting is what the peer has not received. A peer that has hung up is an error: what it has not read does not wait any more, and the kernel says first that it has gone.
func (c *counted) waiting() (int64, error) {
	raw, err := c.Conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var n int
	var fault error
	err = raw.Control(func(fd uintptr) {
		if n, fault = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); fault != nil {
			return
		}
		poll := []unix.PollFd{{Fd: int32(fd)}}
		if _, fault = unix.Poll(poll, 0); fault == nil && poll[0].Revents&unix.POLLHUP != 0 {
			fault = unix.EPIPE
		}
	})
	return int64(n), errors.Join(err, fault)
}

// Dial connects to a. t is for addresses of tcp+tls. ctx bounds the attempt alone.
func Dial(ctx context.Context, a logdriver.Address, t logdriver.TLS) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	network, secure := a.Scheme, false
	if network == "tcp+tls" {
		network, secure = "tcp", true
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, a.Host+a.Path)
	if err != nil {
		return nil, err
	}
	raw := &counted{Conn: conn, memory: network == "unix"}
	c := &Conn{Conn: raw, raw: raw, Stream: network == "tcp" || network == "unix"}
	if secure {
		host, _, _ := net.SplitHostPort(a.Host)
		cfg, err := config(t, host)
		if err == nil {
			s := tls.Client(raw, cfg)
			c.Conn = s
			err = s.HandshakeContext(ctx)
		}
		if err != nil {
			raw.Close()
			return nil, err
		}
	}
	return c, nil
}

// config reads the files of t.
func config(t logdriver.TLS, host string) (*tls.Config, error) {
	cfg := &tls.Config{ServerName: host, InsecureSkipVerify: t.SkipVerify, MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("cannot read the certificate of the authority: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("cannot read the certificate of the authority: %s has none in PEM", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("cannot read the client's certificate: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// Write waits for a receiver that takes nothing for 30 seconds; then the connection is of no use any more.
func (c *Conn) Write(b []byte) (int, error) {
	c.raw.patient.Store(c.Stream)
	defer c.raw.patient.Store(false) // what TLS has to say at the end does not wait
	if err := c.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// Discard begins to read, and forgets, what the receiver says, so that its going is seen. It is for protocols in which receivers say nothing.
func (c *Conn) Discard() {
	if !c.Stream {
		return
	}
	c.gone = make(chan struct{})
	go func() {
		defer close(c.gone)
		_, _ = io.Copy(io.Discard, c.Conn) // whatever ends it, the receiver is gone
	}()
}

// Datagrams says that a receiver which is away refuses what is sent now and then only.
func (c *Conn) Datagrams() bool { return !c.Stream }

// Gone is closed when the receiver has hung up; never without Discard.
func (c *Conn) Gone() <-chan struct{} { return c.gone }

// Flow is how much was written to a stream, and how much of it still waits to be received, as far as the kernel knows: until a TCP peer has acknowledged it (tcp(7), SIOCOUTQ), or a process of this
// host has read it (unix(7)). It is bytes, or the memory that holds them; what was written up to a call has been received when written less waiting is as much as written was then. Both are 0 for
// datagrams, which have been received when they are written. An error says that nobody knows any more.
func (c *Conn) Flow() (written, waiting int64, err error) {
	if !c.Stream {
		return 0, 0, nil
	}
	written = c.raw.written.Load() // first: what is written meanwhile waits
	waiting, err = c.raw.waiting()
	return written, waiting, err
}
