package grpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

// Client makes calls over one connection. Safe for concurrent use.
type Client struct {
	http *http.ClientConn
	conn *watched
}

// NewClient takes conn over: it is closed by Close, or when the peer is gone.
func NewClient(ctx context.Context, conn net.Conn) (*Client, error) {
	w := &watched{Conn: conn, done: make(chan struct{})}
	t := &http.Transport{
		Protocols: new(http.Protocols), DisableCompression: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return w, nil },
	}
	t.Protocols.SetUnencryptedHTTP2(true)
	c, err := t.NewClientConn(ctx, "http", "session:80")
	if err != nil {
		w.Close()
		return nil, err
	}
	return &Client{c, w}, nil
}

// Done is closed when the connection has ended.
func (c *Client) Done() <-chan struct{} { return c.conn.done }

// Close ends the connection, and with it all calls.
func (c *Client) Close() error { return errors.Join(c.conn.Close(), c.http.Close()) }

// Call sends in and returns the one message that answers it. An error of the peer's is an *Error.
func (c *Client) Call(ctx context.Context, method string, h http.Header, in []byte) ([]byte, error) {
	s, err := c.Open(ctx, method, h)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	s.Send(in) //nolint:errcheck // a peer may answer before it has read: that says more
	s.CloseSend()
	out, err := s.Recv()
	if err == io.EOF {
		err = Errorf(Unknown, "%s has answered nothing", method)
	}
	return out, err
}

// ClientStream is a call that was made: messages both ways. Recv is for one goroutine, Send for one too.
type ClientStream struct {
	cancel context.CancelFunc
	out    *io.PipeWriter
	opened chan struct{} // closed when resp or err is there
	resp   *http.Response
	err    error
}

// Open begins a call, whose metadata is h, in lower case or not. Close has to be called.
func (c *Client) Open(ctx context.Context, method string, h http.Header) (*ClientStream, error) {
	ctx, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://session"+method, r)
	if err != nil {
		cancel()
		return nil, err
	}
	for name, values := range h {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Te", "trailers")
	s := &ClientStream{cancel: cancel, out: w, opened: make(chan struct{})}
	go func() {
		defer close(s.opened)
		resp, err := c.http.RoundTrip(req)
		if err == nil && (resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), contentType)) {
			resp.Body.Close()
			err = fmt.Errorf("the peer answers %s with %s, which is not gRPC", method, resp.Status)
		}
		if s.resp, s.err = resp, err; err != nil {
			r.CloseWithError(err)
			if ctx.Err() != nil {
				s.err = context.Cause(ctx)
			}
		}
	}()
	return s, nil
}

// Send sends one message.
func (s *ClientStream) Send(msg []byte) error {
	_, err := s.out.Write(frame(msg))
	return err
}

// CloseSend says that there is nothing more to send.
func (s *ClientStream) CloseSend() { s.out.Close() }

// Recv returns the peer's next message; io.EOF when the call has ended well.
func (s *ClientStream) Recv() ([]byte, error) {
	<-s.opened
	if s.err != nil {
		return nil, s.err
	}
	msg, err := readMessage(s.resp.Body)
	if err != io.EOF {
		return msg, err
	}
	if err := statusOf(s.resp.Trailer, s.resp.Header); err != nil {
		return nil, err
	}
	return nil, io.EOF
}

// Close gives the call up, if it has not ended.
func (s *ClientStream) Close() {
	s.cancel()
	s.out.Close()
	<-s.opened
	if s.err == nil {
		s.resp.Body.Close()
	}
}

// watched is a connection whose end is told.
type watched struct {
	net.Conn
	done chan struct{}
	once sync.Once
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err != nil {
		w.once.Do(func() { close(w.done) })
	}
	return n, err
}

func (w *watched) Close() error {
	w.once.Do(func() { close(w.done) })
	return w.Conn.Close()
}
