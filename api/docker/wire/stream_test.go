package wire

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

func serve(t *testing.T, h Handler) *httptest.Server {
	t.Helper()
	m := &Mux{Server: "stack/1 (linux)"}
	m.Add(Route{Method: "POST", Path: "/x", Handle: h})
	s := httptest.NewServer(m)
	t.Cleanup(s.Close)
	return s
}

func TestHijack(t *testing.T) {
	for _, c := range []struct {
		path, upgrade string
		terminal      bool
		want          []string
	}{
		{"/v1.51/x", "Connection: Upgrade\r\nUpgrade: tcp\r\n", false, []string{"101 UPGRADED", "application/vnd.docker.multiplexed-stream", "Upgrade: tcp"}},
		{"/v1.51/x", "Connection: Upgrade\r\nUpgrade: tcp\r\n", true, []string{"101 UPGRADED", "application/vnd.docker.raw-stream"}},
		{"/v1.41/x", "Connection: Upgrade\r\nUpgrade: tcp\r\n", false, []string{"101 UPGRADED", "application/vnd.docker.raw-stream"}},
		{"/v1.51/x", "", false, []string{"200 OK", "application/vnd.docker.raw-stream"}},
	} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) error {
			conn, err := Hijack(w, r, c.terminal)
			if err != nil {
				return err
			}
			defer conn.Close()
			said, _ := io.ReadAll(conn) // to the half-close, what came with the request included
			conn.Write([]byte("you said " + string(said)))
			return nil
		})
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, "POST "+c.path+" HTTP/1.1\r\nHost: x\r\n"+c.upgrade+"Content-Length: 0\r\n\r\nhello")
		conn.(*net.TCPConn).CloseWrite()
		answer, err := io.ReadAll(bufio.NewReader(conn))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range append(c.want, "\r\n\r\nyou said hello", "Api-Version: 1.51") {
			if !strings.Contains(string(answer), want) {
				t.Errorf("%s: no %q in %q", c.path, want, answer)
			}
		}
	}
}

// TestGone: a client that only sends no more has not gone.
func TestGone(t *testing.T) {
	gone := make(chan bool, 1)
	m := &Mux{Server: "stack/1 (linux)"}
	m.Add(Route{Method: "POST", Path: "/x", Handle: func(w http.ResponseWriter, r *http.Request) error {
		conn, err := Hijack(w, r, true)
		if err != nil {
			return err
		}
		defer conn.Close()
		io.Copy(io.Discard, conn)
		go func() { io.WriteString(conn, "!") }()
		gone <- conn.Gone()
		return nil
	}})
	s := httptest.NewUnstartedServer(m)
	var err error
	if s.Listener, err = net.Listen("unix", filepath.Join(t.TempDir(), "s")); err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Close)
	conn, err := net.Dial("unix", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "POST /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n")
	conn.(*net.UnixConn).CloseWrite()
	if text, err := bufio.NewReader(conn).ReadString('!'); err != nil {
		t.Fatalf("%q, %v", text, err)
	}
	select {
	case <-gone:
		t.Error("a client that sends no more is taken for one that has gone")
	default:
	}
	conn.Close()
	if !<-gone {
		t.Error("a client that has gone is not noticed")
	}
}

// TestProgress: an error before the first line is a status, one after it is a line.
func TestProgress(t *testing.T) {
	for lines, want := range map[int]string{0: "404 {\"message\":\"no such image\"}\n", 1: "200 {\"status\":\"Pulling\"}\r\n{\"errorDetail\":{\"message\":\"no such image\"},\"error\":\"no such image\"}\r\n"} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) error {
			p := NewProgress(w)
			for range lines {
				if err := p.Send(map[string]string{"status": "Pulling"}); err != nil {
					return err
				}
			}
			return p.End(WithStatus(404, errors.New("no such image")))
		})
		answer, err := http.Post(s.URL+"/x", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		if got := answer.Status[:4] + string(text); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestStreamIsSentAtOnce: the header and each piece arrive while the handler goes on.
func TestStreamIsSentAtOnce(t *testing.T) {
	next := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) error {
		out := Stream(w, "text/plain")
		for range 2 {
			<-next
			io.WriteString(out, "x")
		}
		<-next
		return nil
	})
	answer, err := http.Post(s.URL+"/x", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	for range 2 {
		next <- struct{}{}
		if _, err := io.ReadFull(answer.Body, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	close(next)
}
