package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"

	"github.com/moby/moby/api/types"
	"github.com/moby/moby/api/types/jsonstream"
	"golang.org/x/sys/unix"
)

// Stream begins an answer of kind that goes on for a time: what is written to it is sent at once. The header is sent before it returns.
func Stream(w http.ResponseWriter, kind string) io.Writer {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(http.StatusOK)
	s := &flushing{w: w, c: http.NewResponseController(w)}
	s.c.Flush() //nolint:errcheck // the peer is gone
	return s
}

type flushing struct {
	mu sync.Mutex
	w  io.Writer
	c  *http.ResponseController
}

func (s *flushing) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.w.Write(p)
	if err == nil {
		err = s.c.Flush()
	}
	return n, err
}

// Progress is a stream of JSON values, a line each (pull, push, build, load). Its first Send sends the header: until then the handler can still return an error.
// Safe for concurrent use.
type Progress struct {
	mu  sync.Mutex
	w   http.ResponseWriter
	out io.Writer
}

// NewProgress makes one that has sent nothing yet.
func NewProgress(w http.ResponseWriter) *Progress { return &Progress{w: w} }

// Send sends one value.
func (p *Progress) Send(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == nil {
		p.out = Stream(p.w, types.MediaTypeJSON)
	}
	_, err = p.out.Write(append(text, '\r', '\n'))
	return err
}

// End is what the handler returns: err when nothing was sent yet; else nil, and an error has become the stream's last value.
func (p *Progress) End(err error) error {
	p.mu.Lock()
	begun := p.out != nil
	p.mu.Unlock()
	if err == nil || !begun {
		return err
	}
	p.Send(struct { //nolint:errcheck // the peer is gone
		Detail *jsonstream.Error `json:"errorDetail"`
		Text   string            `json:"error"`
	}{&jsonstream.Error{Message: err.Error()}, err.Error()})
	return nil
}

// Conn is a connection that was taken over: bytes both ways.
type Conn struct {
	net.Conn
	Reader *bufio.Reader // has what the client sent together with its request
}

func (c Conn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

// CloseWrite lets the client read to the end although it still writes.
func (c Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Gone waits until the client has closed the connection for good, when it sends no more already: it may only have nothing more to say, and still read what comes.
// False when the connection was closed here first.
func (c Conn) Gone() bool {
	raw, ok := c.Conn.(syscall.Conn)
	if !ok {
		return false
	}
	control, err := raw.SyscallConn()
	if err != nil {
		return false
	}
	gone := false
	_ = control.Read(func(fd uintptr) bool { // it calls again with each change of the socket; an error is a close here
		state := []unix.PollFd{{Fd: int32(fd)}} // POLLHUP is reported unasked (poll(2)): both ways are shut
		n, err := unix.Poll(state, 0)
		gone = n > 0 && err == nil && state[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
		return gone || err != nil && err != unix.EINTR
	})
	return gone
}

// Hijack takes the connection over, to carry a container's streams: multiplexed by Frames unless it has a terminal. A client that asks for an upgrade is told 101, an older one 200.
// Afterwards the handler owns the connection, and returns nil whatever happens on it. The request's context no longer ends with the connection:
// who reads it sees its end.
func Hijack(w http.ResponseWriter, r *http.Request, terminal bool) (Conn, error) {
	kind := types.MediaTypeRawStream
	if !terminal && VersionOf(r.Context()) >= 42 {
		kind = types.MediaTypeMultiplexedStream
	}
	status := "HTTP/1.1 200 OK\r\nContent-Type: " + types.MediaTypeRawStream + "\r\n"
	if r.Header.Get("Upgrade") != "" {
		status = "HTTP/1.1 101 UPGRADED\r\nContent-Type: " + kind + "\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
	}
	return takeOver(w, status)
}

// Upgrade takes the connection over, to speak proto on it from now on, as the client has asked. What is said of Hijack holds.
func Upgrade(w http.ResponseWriter, proto string) (Conn, error) {
	return takeOver(w, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: "+proto+"\r\n")
}

func takeOver(w http.ResponseWriter, status string) (Conn, error) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return Conn{}, fmt.Errorf("cannot take over the connection: %w", err)
	}
	var header strings.Builder
	for _, name := range []string{"Api-Version", "Ostype", "Docker-Experimental", "Server"} {
		if v := w.Header().Get(name); v != "" {
			fmt.Fprintf(&header, "%s: %s\r\n", name, v)
		}
	}
	io.WriteString(conn, status+header.String()+"\r\n") //nolint:errcheck // every later use of the connection says that nobody is there
	// Past what has come already by ourselves: net/http's reader would take the end of what the client sends for the end of the request, and cancel its context.
	early, _ := rw.Reader.Peek(rw.Reader.Buffered())
	return Conn{Conn: conn, Reader: bufio.NewReader(io.MultiReader(bytes.NewReader(bytes.Clone(early)), conn))}, nil
}
