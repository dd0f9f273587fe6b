package client

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

// daemon answers on socket with what serve writes for each request, by its number, until the test ends.
func daemon(t *testing.T, socket string, serve func(n int, w net.Conn)) *atomic.Int32 {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	asked := new(atomic.Int32)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				req, err := http.ReadRequest(bufio.NewReader(c))
				if err == nil && req.ContentLength > 0 {
					io.Copy(io.Discard, req.Body) //nolint:errcheck // the client's
				}
				serve(int(asked.Add(1)), c)
			})
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return asked
}

const (
	done       = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"done\":{}}\n"
	begun      = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	containers = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
)

func write(w net.Conn, text string) { io.WriteString(w, text) } //nolint:errcheck // the client says what it got

func down(c *Client) error {
	return c.Down(context.Background(), "shop", ask.DownOptions{}, nil)
}

// All that finds nobody starts one daemon, and is answered by that.
func TestWhoFindsNobodyStartsOne(t *testing.T) {
	c := New(filepath.Join(t.TempDir(), "stack.sock"), "1")
	if err := down(c); !errors.Is(err, errdefs.ErrUnavailable) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a way to start one: %v", err)
	}
	launched := 0
	c.Launch = func(_ context.Context, why error) error {
		if !errors.Is(why, os.ErrNotExist) {
			t.Errorf("it is started because of %v", why)
		}
		launched++
		daemon(t, c.socket, func(_ int, w net.Conn) { write(w, containers) })
		return nil
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := c.Containers(context.Background(), "shop"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if launched != 1 {
		t.Errorf("%d daemons were started", launched)
	}
}

func TestALaunchThatFailsSaysWhy(t *testing.T) {
	c := New(filepath.Join(t.TempDir(), "stack.sock"), "1")
	c.Launch = func(context.Context, error) error { return errors.New("no memory") }
	if err := down(c); err == nil || err.Error() != "no memory" {
		t.Errorf("got %v", err)
	}
}

// What cannot be read to be sent is told, and not waited for: the daemon waits for more.
func TestWhatIsSentFails(t *testing.T) {
	c := New(filepath.Join(t.TempDir(), "stack.sock"), "1")
	daemon(t, c.socket, func(_ int, w net.Conn) { io.Copy(io.Discard, w) }) //nolint:errcheck // until it is hung up on
	broken := errors.New("a disk that cannot be read")
	if _, err := c.Load(t.Context(), io.MultiReader(strings.NewReader("some"), iotest.ErrReader(broken)), nil); !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
}

// A request that is hung up on without an answer is sent to the next daemon; one whose answer has begun is not, for it may have had an effect.
func TestWhatIsHungUpOnIsSentAgain(t *testing.T) {
	for what, x := range map[string]struct {
		serve func(n int, w net.Conn)
		ask   func(c *Client) error
		asked int32
		ok    bool
	}{
		"once": {func(n int, w net.Conn) {
			if n > 1 {
				write(w, done)
			}
		}, down, 2, true},
		"upgraded, once": {func(n int, w net.Conn) {
			if n > 1 {
				write(w, "HTTP/1.1 101 UPGRADED\r\n\r\n\x06\x00\x00\x00\x00\x00\x00\x0b{\"done\":{}}")
			}
		}, func(c *Client) error {
			_, err := c.Exec(context.Background(), "shop", ask.ExecOptions{}, process.IO{})
			return err
		}, 2, true},
		"always":        {func(int, net.Conn) {}, down, mostHangUps, false},
		"in the middle": {func(_ int, w net.Conn) { write(w, begun) }, down, 1, false},
		"in its header": {func(_ int, w net.Conn) { write(w, "HTTP/1.1 2") }, down, 1, false},
		"an archive, part of which is gone": {func(int, net.Conn) {}, func(c *Client) error {
			_, err := c.Load(context.Background(), strings.NewReader("archive"), nil)
			return err
		}, 1, false},
	} {
		c := New(filepath.Join(t.TempDir(), "stack.sock"), "1")
		c.Launch = func(context.Context, error) error { return nil } // the next one has taken its place
		asked := daemon(t, c.socket, x.serve)
		err := x.ask(c)
		if asked.Load() != x.asked || (err == nil) != x.ok || err != nil && !errors.Is(err, errdefs.ErrUnavailable) {
			t.Errorf("%s: asked %d times, not %d: %v", what, asked.Load(), x.asked, err)
		}
	}
}

// TestADaemonThatLeavesItsStreams: who loses the connection hears what becomes of what it was to. Nobody is told to ask again for what runs already.
func TestADaemonThatLeavesItsStreams(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	daemon(t, socket, func(_ int, w net.Conn) {
		write(w, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
		// The end of the input is read first: the end of a connection with something unread is a reset, which is another error.
		if kind, _, err := api.ReadFrame(w); err != nil || kind != api.FrameEOF {
			t.Errorf("the client sends %v, %v", kind, err)
		}
	})
	c := New(socket, "1")
	for _, x := range []struct {
		says string
		ask  func() error
	}{
		{"it may run on: `stack ps`", func() error {
			_, err := c.Run(t.Context(), &spec.Project{Name: "shop"}, ask.RunOptions{Service: "web"}, process.IO{}, nil)
			return err
		}},
		{"it may run on: `stack top`", func() error {
			_, err := c.Exec(t.Context(), "shop", ask.ExecOptions{Service: "web", Args: []string{"sh"}}, process.IO{})
			return err
		}},
		{"the container runs on: `stack attach`", func() error {
			_, err := c.Attach(t.Context(), "shop", ask.AttachOptions{Service: "web"}, process.IO{})
			return err
		}},
		{copyAgain, func() error {
			return c.CopyOut(t.Context(), "shop", ask.CopyOutOptions{Service: "web"}, io.Discard, nil)
		}},
		{copyAgain, func() error {
			return c.Export(t.Context(), "shop", ask.ExportOptions{Service: "web"}, io.Discard, nil)
		}},
	} {
		if err := x.ask(); !errors.Is(err, errdefs.ErrUnavailable) || !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "\n"+x.says) {
			t.Errorf("expected %q, got %v", x.says, err)
		}
	}
}

// TestReplaceIsForTheFirstQuestion: a client that a daemon has answered does not ask another one to leave: two that run side by side would take it from
// each other again and again. What cannot be sent twice is not the first question.
func TestReplaceIsForTheFirstQuestion(t *testing.T) {
	c := New(filepath.Join(t.TempDir(), "stack.sock"), "1")
	c.Replace = true
	var mu sync.Mutex
	var asked []string
	l, err := net.Listen("unix", c.socket)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		served <- http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			asked = append(asked, r.Method+" "+r.URL.Path+" "+r.Header.Get(api.ReplaceHeader))
			mu.Unlock()
			io.Copy(io.Discard, r.Body) //nolint:errcheck // the client's
			io.WriteString(w, "[]")     //nolint:errcheck // the client's
		}))
	}()
	t.Cleanup(func() { l.Close(); <-served })
	c.Load(context.Background(), strings.NewReader("an archive"), nil) //nolint:errcheck // not about its answer
	if _, err := c.Projects(context.Background()); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"GET /v1/projects 1", "POST /v1/images/load ", "GET /v1/projects "}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

// A connection that was made ahead takes the next request, and no other; a daemon that has gone since is as one that has hung up.
func TestAhead(t *testing.T) {
	c := New(filepath.Join(t.TempDir(), "stack.sock"), "1")
	c.Ahead() // nobody is there
	if err := down(c); !errors.Is(err, errdefs.ErrUnavailable) {
		t.Errorf("without a daemon: %v", err)
	}
	l, err := net.Listen("unix", c.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accept := func() net.Conn {
		conn, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		return conn
	}
	serve := func(conn net.Conn) {
		defer conn.Close()
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			t.Error(err)
		}
		write(conn, containers)
	}
	ask := func() (err error) {
		_, err = c.Containers(t.Context(), "shop")
		return err
	}
	var served sync.WaitGroup
	defer served.Wait()
	c.Ahead()
	first := accept()
	served.Go(func() {
		serve(first)
		serve(accept())
	})
	for range 2 {
		if err := ask(); err != nil {
			t.Error(err)
		}
	}
	served.Wait()

	c.Ahead()
	accept().Close()
	c.Launch = func(context.Context, error) error { return nil }
	served.Go(func() { serve(accept()) })
	if err := ask(); err != nil {
		t.Errorf("after a daemon that has gone: %v", err)
	}

	c.Ahead()
	late := accept()
	defer late.Close()
	c.ahead.Load().since = time.Now().Add(-2 * earlyTime)
	served.Go(func() { serve(accept()) })
	if err := ask(); err != nil {
		t.Errorf("after a while: %v", err)
	}
}
