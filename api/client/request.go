package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/internal/errdefs"
)

// request is one question. Its body is text, or what stream gives.
type request struct {
	method, path string
	text         []byte
	stream       io.Reader
	upgrade      bool
}

// answer is what has come of an answer: its header, and the connection for the rest.
type answer struct {
	*http.Response
	conn net.Conn
	in   *bufio.Reader
	stop func() bool // no longer closes conn when the context ends
}

// Close hangs up, which cancels the request if it has not ended.
func (a *answer) Close() error {
	a.stop()
	return a.conn.Close()
}

var (
	// errNobody: nobody listens.
	errNobody = errors.New("nobody answers")
	// errHungUp: the connection has ended before an answer began. Until then no request has changed anything (see package api).
	errHungUp = errors.New("no answer")
)

const (
	// patience bounds the wait for a daemon that leaves and one that starts.
	patience = 20 * time.Second
	// mostHangUps is how often one request may be hung up on: by daemons that leave, not by one that dies of it.
	mostHangUps = 5
)

// ask sends r and reads the header of the answer; one that is not a success is its error. When nobody answers, the client starts a daemon and asks
// again: one that is just leaving takes no more connections, and the next one needs its lock, so this goes on for as long as that may take.
func (c *Client) ask(ctx context.Context, r request) (*answer, error) {
	if r.stream != nil && c.Replace && !c.answered.Load() { // it cannot be sent twice: what can be is asked first
		a, err := c.ask(ctx, request{method: http.MethodGet, path: "/v1/projects"})
		if err != nil {
			return nil, err
		}
		a.Close()
	}
	launched, hangUps := c.generation(), 0
	for deadline := time.Now().Add(patience); ; {
		a, err := c.try(ctx, r)
		if errors.Is(err, errHungUp) {
			hangUps++
		}
		switch {
		case err == nil, ctx.Err() != nil, c.Launch == nil, time.Now().After(deadline):
			return a, err
		case errors.Is(err, errNobody):
		case errors.Is(err, errHungUp) && r.stream == nil && hangUps < mostHangUps:
		default:
			return nil, err
		}
		if launched, err = c.launch(ctx, launched, err); err != nil {
			return nil, err
		}
	}
}

// generation counts the daemons that this client has started.
func (c *Client) generation() int {
	c.launching.Lock()
	defer c.launching.Unlock()
	return c.launched
}

// launch starts a daemon, one for all requests that have seen no later one than that of generation seen.
func (c *Client) launch(ctx context.Context, seen int, why error) (generation int, err error) {
	c.launching.Lock()
	defer c.launching.Unlock()
	if c.launched == seen {
		if err := c.Launch(ctx, why); err != nil {
			return seen, err
		}
		c.launched++
	}
	return c.launched, nil
}

// try is ask, once. By a connection of its own, and not through http.Client: its Transport keeps two goroutines for each, which a command that asks
// once has no use for, and does not let go of a connection that is upgraded.
func (c *Client) try(ctx context.Context, r request) (*answer, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	req, err := http.NewRequest(r.method, "http://stack"+r.path, r.body())
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "stack")
	req.Header.Set(api.VersionHeader, c.version)
	if c.StateRoot != "" {
		req.Header.Set(api.StateRootHeader, url.PathEscape(c.StateRoot))
	}
	if c.Replace && !c.answered.Load() {
		req.Header.Set(api.ReplaceHeader, "1")
	}
	if r.upgrade {
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "tcp")
	}
	conn, err := c.connection()
	if err != nil {
		return nil, unreached(errNobody, fmt.Errorf("cannot reach the stack daemon: %w", err))
	}
	a := &answer{conn: conn, in: bufio.NewReaderSize(conn, 32<<10)}
	a.stop = context.AfterFunc(ctx, func() { conn.Close() })
	if r.stream != nil {
		go req.Write(conn) //nolint:errcheck // the daemon says what it thinks of it
	} else {
		req.Write(conn) //nolint:errcheck // it may have answered before it has read it all, and hung up
	}
	if c.Asked != nil {
		c.Asked()
	}
	if r.method == http.MethodPost {
		go learnMessages()
	}
	if _, err := a.in.Peek(1); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		a.Close()
		return nil, unreached(errHungUp, brokeOff(ctx, err))
	}
	if a.Response, err = http.ReadResponse(a.in, req); err != nil {
		a.Close()
		return nil, brokeOff(ctx, err)
	}
	want := http.StatusOK
	if r.upgrade {
		want = http.StatusSwitchingProtocols
	}
	if a.StatusCode != want {
		defer a.Close()
		return nil, answeredError(a.Response)
	}
	c.answered.Store(true)
	return a, nil
}

// early is a connection without a request.
type early struct {
	net.Conn
	since time.Time
}

// earlyTime is how long a connection waits for its request at most. The daemon hangs up after ten seconds, and what cannot be sent twice would be lost.
const earlyTime = 5 * time.Second

// Ahead connects for the request that is sent next: a daemon at rest gets ready meanwhile. Who cannot connect is told when that is sent.
func (c *Client) Ahead() {
	if conn, err := c.dial(); err == nil {
		if before := c.ahead.Swap(&early{conn, time.Now()}); before != nil {
			before.Close()
		}
	}
}

// connection is the one of Ahead, or another.
func (c *Client) connection() (net.Conn, error) {
	if a := c.ahead.Swap(nil); a != nil {
		if time.Since(a.since) < earlyTime {
			return a.Conn, nil
		}
		a.Close()
	}
	return c.dial()
}

func (c *Client) dial() (net.Conn, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: c.socket, Net: "unix"})
	if err != nil {
		return nil, err
	}
	return conn, nil
}

func (r *request) body() io.Reader {
	if r.stream != nil {
		return r.stream
	}
	if r.text == nil {
		return nil
	}
	return bytes.NewReader(r.text)
}

// unreached is err, of the kind that ask looks for.
func unreached(kind, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return errdefs.With(kind, errdefs.With(errdefs.ErrUnavailable, err))
}
