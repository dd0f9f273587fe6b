package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/api/server"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// The engine of tests is all that a server stands in front of.
var _ server.Engine = (*apitest.Engine)(nil)

// serve answers for e until the test ends and gives a client.
func serve(t *testing.T, e server.Engine) (*client.Client, *server.Server, string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "stack.sock")
	l, err := server.Listen(socket, -1)
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(e, server.Options{Version: api.Version{Version: "1.2.3", Pid: 42}, Group: -1})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), sandbox.Patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error("shutdown:", err)
		}
		if err := <-served; err != nil {
			t.Error("serve:", err)
		}
	})
	return client.New(socket, "1.2.3"), s, socket
}

func project() *spec.Project {
	return &spec.Project{Name: "shop", Services: map[string]*spec.Service{"web": {Name: "web", Image: "nginx"}}}
}

func TestContainersWithoutLabels(t *testing.T) {
	all := []ask.Container{{Name: "shop-web-1", Labels: map[string]string{"a": "1"}}, {Name: "shop-db-1"}}
	c, _, _ := serve(t, &apitest.Engine{OnContainers: func(context.Context, string) ([]ask.Container, error) { return all, nil }})
	for _, without := range []bool{true, false} {
		got, err := c.ContainersWithout(t.Context(), "shop", api.ContainersOptions{NoLabels: without})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 2 || got[0].Name != "shop-web-1" || got[1].Name != "shop-db-1" || (got[0].Labels["a"] == "1") == without {
			t.Errorf("without=%v: %+v", without, got)
		}
	}
	if all[0].Labels["a"] != "1" {
		t.Error("the engine's own were changed")
	}
}

func TestUpStreamsEventsAndEnds(t *testing.T) {
	var got ask.UpOptions
	c, _, _ := serve(t, &apitest.Engine{
		OnUp: func(_ context.Context, p *spec.Project, o ask.UpOptions, s event.Sink) error {
			got = o
			s(event.Event{Kind: "container", Name: p.Name + "-web-1", Phase: event.Working, Text: "Creating"})
			s(event.Event{Kind: "container", Name: p.Name + "-web-1", Phase: event.Done, Text: "Started"})
			return nil
		},
	})
	var texts []string
	ten := 10 * time.Second
	o := ask.UpOptions{Services: []string{"web"}, Scale: map[string]int{"web": 3}, Timeout: &ten}
	err := c.Up(context.Background(), project(), o, func(e event.Event) { texts = append(texts, e.Name+" "+e.Text) })
	if err != nil {
		t.Fatal(err)
	}
	if s := strings.Join(texts, ","); s != "shop-web-1 Creating,shop-web-1 Started" {
		t.Error("got", s)
	}
	if got.Scale["web"] != 3 || *got.Timeout != ten || got.Services[0] != "web" {
		t.Errorf("options arrived as %+v", got)
	}
}

func TestErrorsArriveWithKindAndDiagnostics(t *testing.T) {
	c, _, _ := serve(t, &apitest.Engine{
		OnUp: func(context.Context, *spec.Project, ask.UpOptions, event.Sink) error {
			return errdefs.With(errdefs.ErrConflict, diag.List{{Summary: "port taken", Hint: "choose another"}}.Err())
		},
		OnContainers: func(context.Context, string) ([]ask.Container, error) {
			return nil, errdefs.With(errdefs.ErrNotFound, errors.New("no such project"))
		},
		OnDown:  func(context.Context, string, ask.DownOptions, event.Sink) error { panic("a bug") },
		OnDrift: func(context.Context, string) (*ask.Preview, error) { panic("a bug") },
	})
	ctx := context.Background()
	err := c.Up(ctx, project(), ask.UpOptions{}, nil)
	var d *diag.Diagnostic
	if !errors.Is(err, errdefs.ErrConflict) || !errors.As(err, &d) || d.Hint != "choose another" {
		t.Errorf("from a stream: %v", err)
	}
	if _, err := c.Containers(ctx, "shop"); !errors.Is(err, errdefs.ErrNotFound) || err.Error() != "no such project" {
		t.Errorf("from an answer: %v", err)
	}
	if err := c.Down(ctx, "shop", ask.DownOptions{}, nil); err == nil || !strings.Contains(err.Error(), "a bug") {
		t.Errorf("from a panic: %v", err)
	}
	if _, err := c.Drift(ctx, "shop"); err == nil || !strings.Contains(err.Error(), "a bug") {
		t.Errorf("from a panic of what answers at once: %v", err)
	}
	if _, err := c.Projects(ctx); err != nil {
		t.Errorf("after the panics: %v", err)
	}
}

func TestNamesInPathsAreChecked(t *testing.T) {
	c, _, _ := serve(t, &apitest.Engine{
		OnContainers: func(_ context.Context, name string) ([]ask.Container, error) {
			t.Errorf("the engine was asked for %q", name)
			return nil, nil
		},
	})
	for _, name := range []string{"..", "../../etc", "a/b", "UPPER", "-x", "a b", "a\x00", strings.Repeat("a", 200)} {
		if _, err := c.Containers(context.Background(), name); err == nil {
			t.Errorf("%q was accepted", name)
		}
	}
	p := project()
	p.Name = "other"
	err := c.Up(context.Background(), p, ask.UpOptions{}, nil)
	if err == nil || errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("a project under its own name: %v", err) // the engine has no Up: ErrNotSupported
	}
}

func TestAnotherVersionIsToldWhatToDo(t *testing.T) {
	_, _, socket := serve(t, &apitest.Engine{})
	c := client.New(socket, "9.9.9")
	_, err := c.Connect(context.Background())
	if !errors.Is(err, api.ErrVersion) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"1.2.3", "9.9.9", "kill 42", "containers run on"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	// Whoever does not ask first is refused all the same.
	if err := c.Up(context.Background(), project(), ask.UpOptions{}, nil); !errors.Is(err, api.ErrVersion) {
		t.Errorf("up: %v", err)
	}
	if _, err := c.Exec(context.Background(), "shop", ask.ExecOptions{}, process.IO{}); !errors.Is(err, api.ErrVersion) {
		t.Errorf("exec: %v", err)
	}
}

// A body that nobody reads does not keep the answer from its sender.
func TestAnotherVersionIsToldToALargeRequest(t *testing.T) {
	_, _, socket := serve(t, &apitest.Engine{})
	c := client.New(socket, "9.9.9")
	p := project()
	p.Services["web"].Image = strings.Repeat("x", 8<<20)
	if err := c.Up(context.Background(), p, ask.UpOptions{}, nil); !errors.Is(err, api.ErrVersion) {
		t.Errorf("up: %v", err)
	}
	if _, err := c.Load(context.Background(), bytes.NewReader(make([]byte, 8<<20)), nil); !errors.Is(err, api.ErrVersion) {
		t.Errorf("load: %v", err)
	}
}

// TestMakesWay: a daemon that may be replaced leaves to the first question of a client of another version that would rather have its own, if nobody
// else is connected.
func TestMakesWay(t *testing.T) {
	ctx := context.Background()
	socket := filepath.Join(t.TempDir(), "stack.sock")
	l, err := server.Listen(socket, -1)
	if err != nil {
		t.Fatal(err)
	}
	replaced := make(chan struct{})
	s := server.New(&apitest.Engine{}, server.Options{Group: -1, Version: api.Version{Version: "1.2.3"}, Replaced: func() { close(replaced) }})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() { s.Shutdown(ctx); <-served })

	if _, err := client.New(socket, "9.9.9").Projects(ctx); !errors.Is(err, api.ErrVersion) {
		t.Errorf("one that does not ask for it: %v", err)
	}
	other, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	eager := func() *client.Client {
		c := client.New(socket, "9.9.9")
		c.Replace = true
		return c
	}
	ours := client.New(socket, "1.2.3")
	if _, err := ours.Projects(ctx); err != nil { // accepted after other: that is counted
		t.Fatal(err)
	}
	if _, err := eager().Projects(ctx); !errors.Is(err, api.ErrVersion) {
		t.Errorf("while somebody else is connected: %v", err)
	}
	// Both of two that ask at once are hung up on, when the other one has gone.
	both := make(chan error, 2)
	for range 2 {
		go func() {
			var err error
			sandbox.Within(func() bool {
				_, err = eager().Projects(ctx)
				return !errors.Is(err, api.ErrVersion) // on a busy host it may not be seen in time that the other one has gone
			})
			both <- err
		}()
	}
	other.Close()
	for range 2 {
		if err := <-both; !errors.Is(err, errdefs.ErrUnavailable) {
			t.Errorf("it is not hung up on: %v", err)
		}
	}
	<-replaced
	if _, err := ours.Projects(ctx); !errors.Is(err, errdefs.ErrUnavailable) {
		t.Errorf("somebody is let in after that: %v", err)
	}
}

func TestAnotherStateRootIsRefused(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "stack.sock")
	l, err := server.Listen(socket, -1)
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(&apitest.Engine{}, server.Options{Group: -1, Version: api.Version{Version: "1.2.3", Pid: 42, StateRoot: "/srv/ö\n1", RunRoot: "/run/x"}})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() { s.Shutdown(context.Background()); <-served })
	c := client.New(socket, "1.2.3")
	for state, ok := range map[string]bool{"": true, "/srv/ö\n1": true, "/srv/2": false} {
		c.StateRoot = state
		_, err := c.Projects(context.Background())
		_, met := c.Connect(context.Background())
		for _, err := range []error{err, met} {
			if ok && err != nil {
				t.Errorf("%q: %v", state, err)
			}
			if want := "cannot use the state root /srv/2: the stack daemon on /run/x/stack.sock holds /srv/ö\n1\n"; !ok && (err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "kill 42")) {
				t.Errorf("%q: %v", state, err)
			}
		}
	}
}

// TestWhereElseTheRootsCouldBe: who cannot write below the daemon's roots is told by which flag they could be elsewhere, whether the answer has begun or not.
func TestWhereElseTheRootsCouldBe(t *testing.T) {
	failed := &fs.PathError{Op: "mkdir", Path: "/x/volumes/v", Err: unix.EROFS}
	socket := filepath.Join(t.TempDir(), "stack.sock")
	l, err := server.Listen(socket, -1)
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(&apitest.Engine{
		OnUp:         func(context.Context, *spec.Project, ask.UpOptions, event.Sink) error { return failed },
		OnContainers: func(context.Context, string) ([]ask.Container, error) { return nil, failed },
	}, server.Options{Group: -1, Version: api.Version{Version: "1.2.3", StateRoot: "/x", RunRoot: "/y"}})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() { s.Shutdown(context.Background()); <-served })
	c := client.New(socket, "1.2.3")
	_, list := c.Containers(t.Context(), "shop")
	for _, err := range []error{list, c.Up(t.Context(), project(), ask.UpOptions{}, nil)} {
		if err == nil || !strings.Contains(err.Error(), "--state-root") {
			t.Errorf("%v", err)
		}
	}
}

func TestCancelReachesTheEngine(t *testing.T) {
	for _, verb := range []string{"up", "exec"} {
		t.Run(verb, func(t *testing.T) {
			entered, ended := make(chan struct{}), make(chan struct{})
			wait := func(ctx context.Context) error {
				close(entered)
				<-ctx.Done()
				close(ended)
				return ctx.Err()
			}
			c, _, _ := serve(t, &apitest.Engine{
				OnUp: func(ctx context.Context, _ *spec.Project, _ ask.UpOptions, _ event.Sink) error {
					return wait(ctx)
				},
				OnExec: func(ctx context.Context, _ string, _ ask.ExecOptions, _ process.IO) (process.Exit, error) {
					return process.Exit{}, wait(ctx)
				},
			})
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() {
				if verb == "up" {
					done <- c.Up(ctx, project(), ask.UpOptions{}, nil)
				} else {
					// Stdin that never ends must not keep it.
					r, w := io.Pipe()
					defer w.Close()
					_, err := c.Exec(ctx, "shop", ask.ExecOptions{}, process.IO{Stdin: r})
					done <- err
				}
			}()
			<-entered
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("the client says %v", err)
			}
			<-ended
		})
	}
}

func TestExecCarriesStreamsBothWays(t *testing.T) {
	c, _, _ := serve(t, &apitest.Engine{
		OnExec: func(_ context.Context, _ string, o ask.ExecOptions, s process.IO) (process.Exit, error) {
			in, err := io.ReadAll(s.Stdin)
			if err != nil {
				return process.Exit{}, err
			}
			size := <-s.Resize
			sig := <-s.Signals
			if size != (process.WinSize{Rows: 50, Cols: 300}) || sig != syscall.SIGTERM {
				return process.Exit{}, errors.New("size or signal did not arrive")
			}
			io.WriteString(s.Stderr, "to stderr")
			s.Stdout.Write(bytes.ToUpper(in))
			return process.Exit{Code: 7}, nil
		},
	})
	resize, signals := make(chan process.WinSize, 1), make(chan syscall.Signal, 1)
	resize <- process.WinSize{Rows: 50, Cols: 300}
	signals <- syscall.SIGTERM
	text := strings.Repeat("all that goes in comes out. ", 200_000)
	var out, errs bytes.Buffer
	exit, err := c.Exec(context.Background(), "shop", ask.ExecOptions{Args: []string{"tr"}}, process.IO{
		Stdin: strings.NewReader(text), Stdout: &out, Stderr: &errs, Resize: resize, Signals: signals,
	})
	if err != nil || exit.Code != 7 {
		t.Fatal(exit, err)
	}
	if out.String() != strings.ToUpper(text) || errs.String() != "to stderr" {
		t.Errorf("got %d bytes of stdout and %q", out.Len(), errs.String())
	}
}

// A process that does not read its stdin must not hold up its output, its signals, or its end.
func TestUnreadStdinHoldsNothingUp(t *testing.T) {
	c, _, _ := serve(t, &apitest.Engine{
		OnExec: func(_ context.Context, _ string, _ ask.ExecOptions, s process.IO) (process.Exit, error) {
			<-s.Signals
			io.WriteString(s.Stdout, "bye")
			return process.Exit{}, nil
		},
	})
	signals := make(chan syscall.Signal, 1)
	signals <- syscall.SIGINT
	var out bytes.Buffer
	_, err := c.Exec(context.Background(), "shop", ask.ExecOptions{}, process.IO{
		Stdin: bytes.NewReader(make([]byte, 1<<20)), Stdout: &out, Signals: signals,
	})
	if err != nil || out.String() != "bye" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

func TestRunTellsEventsAmongItsOutput(t *testing.T) {
	c, _, _ := serve(t, &apitest.Engine{
		OnRun: func(_ context.Context, p *spec.Project, o ask.RunOptions, s process.IO, sink event.Sink) (process.Exit, error) {
			sink(event.Event{Name: p.Services["web"].Image, Text: "Pulled", Phase: event.Done})
			if s.Stdin != nil {
				return process.Exit{}, errors.New("it has a stdin that nobody asked for")
			}
			io.WriteString(s.Stdout, "hello")
			return process.Exit{Code: 3}, nil
		},
	})
	var out bytes.Buffer
	var pulled string
	exit, err := c.Run(context.Background(), project(), ask.RunOptions{Service: "web"}, process.IO{Stdout: &out},
		func(e event.Event) { pulled = e.Name })
	if err != nil || exit.Code != 3 || out.String() != "hello" || pulled != "nginx" {
		t.Errorf("got %+v, %v, %q, %q", exit, err, out.String(), pulled)
	}
}

func TestLogsArriveInOrderAndStopWithTheirReader(t *testing.T) {
	const lines = 5000
	ended := make(chan error, 1)
	c, _, _ := serve(t, &apitest.Engine{
		OnLogs: func(_ context.Context, _ string, o ask.LogOptions, each func(ask.LogEntry) error) error {
			if o.Tail != 7 || o.Services[0] != "web" {
				t.Errorf("options arrived as %+v", o)
			}
			for i := range lines {
				if err := each(ask.LogEntry{Container: "shop-web-1", Replica: i, Line: []byte{0xff, 0}}); err != nil {
					ended <- err
					return err
				}
			}
			ended <- nil
			return nil
		},
	})
	next := 0
	o := ask.LogOptions{Tail: 7, Services: []string{"web"}}
	err := c.Logs(context.Background(), "shop", o, func(e ask.LogEntry) error {
		if e.Replica != next || !bytes.Equal(e.Line, []byte{0xff, 0}) {
			t.Fatalf("line %d arrived as %+v", next, e)
		}
		next++
		return nil
	})
	if err != nil || next != lines {
		t.Errorf("got %d lines, %v", next, err)
	}
	<-ended
	enough := errors.New("enough")
	if err := c.Logs(context.Background(), "shop", o, func(ask.LogEntry) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
	<-ended
}

func TestLoadSendsTheArchiveAndGetsImages(t *testing.T) {
	c, _, _ := serve(t, &apitest.Engine{
		OnLoad: func(_ context.Context, r io.Reader, s event.Sink) ([]image.Info, error) {
			n, err := io.Copy(io.Discard, r)
			s(event.Event{Current: n, Text: "Loaded", Phase: event.Done})
			return []image.Info{{Refs: []string{"app:1"}}}, err
		},
	})
	var n int64
	images, err := c.Load(context.Background(), bytes.NewReader(make([]byte, 10<<20)), func(e event.Event) { n = e.Current })
	if err != nil || len(images) != 1 || images[0].Refs[0] != "app:1" || n != 10<<20 {
		t.Errorf("got %v, %v, %d", images, err, n)
	}
}

func TestLoadThatFailsEarlySaysWhy(t *testing.T) {
	c, _, _ := serve(t, &apitest.Engine{
		OnLoad: func(_ context.Context, r io.Reader, _ event.Sink) ([]image.Info, error) {
			r.Read(make([]byte, 10))
			return nil, errdefs.With(errdefs.ErrInvalidArgument, errors.New("this is no archive"))
		},
	})
	for range 20 {
		_, err := c.Load(context.Background(), bytes.NewReader(make([]byte, 10<<20)), nil)
		if !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Fatalf("got %v", err)
		}
	}
}

// A client that stopped reading holds up neither the engine nor others; progress of one thing is joined.
func TestSlowReaderHoldsNobodyUp(t *testing.T) {
	engineDone := make(chan struct{})
	c, _, socket := serve(t, &apitest.Engine{
		OnUp: func(_ context.Context, _ *spec.Project, _ ask.UpOptions, s event.Sink) error {
			for i := range 200_000 {
				s(event.Event{Kind: "image", Name: "postgres:15", Phase: event.Working, Text: "Pulling", Current: int64(i)})
			}
			close(engineDone)
			return nil
		},
	})
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `{"project":{"Name":"shop"},"options":{}}`
	req, _ := http.NewRequest("POST", "http://stack/v1/projects/shop/up", strings.NewReader(body))
	req.Header.Set(api.VersionHeader, "1.2.3")
	if err := req.Write(conn); err != nil {
		t.Fatal(err)
	}
	<-engineDone // although nobody has read a byte
	if _, err := c.Projects(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestMalformedRequestsAreRefused(t *testing.T) {
	_, _, socket := serve(t, &apitest.Engine{})
	h := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", socket)
	}}}
	defer h.CloseIdleConnections()
	for _, tt := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/v1/projects/shop/up", `{`, 400},
		{"POST", "/v1/projects/shop/up", `{}`, 400},
		{"POST", "/v1/projects/shop/up", `{"project":{"Name":"other"}}`, 400},
		{"POST", "/v1/projects/shop/up", `{"project":{"Name":"shop"},"surprise":1}`, 400},
		{"POST", "/v1/projects/shop/up", `{"project":{"Name":"shop"}} {}`, 400},
		{"POST", "/v1/projects/shop/exec", `[]`, 400},
		{"GET", "/v1/projects/shop/logs?options=x", ``, 400},
		{"GET", "/v1/projects/shop/up", ``, 404},
		{"GET", "/containers/json", ``, 404},
	} {
		req, _ := http.NewRequest(tt.method, "http://stack"+tt.path, strings.NewReader(tt.body))
		req.Header.Set(api.VersionHeader, "1.2.3")
		resp, err := h.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != tt.status {
			t.Errorf("%s %s %s: got %d, want %d", tt.method, tt.path, tt.body, resp.StatusCode, tt.status)
		}
	}
}

func TestADaemonThatGoesAwayIsSaid(t *testing.T) {
	entered := make(chan struct{})
	c, s, _ := serve(t, &apitest.Engine{
		OnUp: func(ctx context.Context, _ *spec.Project, _ ask.UpOptions, _ event.Sink) error {
			close(entered)
			<-ctx.Done()
			return errors.New("the daemon ends")
		},
	})
	done := make(chan error, 1)
	go func() { done <- c.Up(context.Background(), project(), ask.UpOptions{}, nil) }()
	<-entered
	ctx, cancel := context.WithTimeout(context.Background(), sandbox.Patience)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("the client takes it for a success")
	}
	if _, err := c.Connect(context.Background()); !errors.Is(err, errdefs.ErrUnavailable) {
		t.Errorf("after the end: %v", err)
	}
}

func TestSocketAndUse(t *testing.T) {
	c, s, socket := serve(t, &apitest.Engine{})
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Connect(context.Background()); err != nil { // the connection before it has been taken by now
		t.Fatal(err)
	}
	if s.Leave(0) {
		t.Error("it leaves with a client connected")
	}
	conn.Close()
	if s.Leave(time.Hour) {
		t.Error("it leaves although somebody has been there just now")
	}
	sandbox.Eventually(t, "it can leave after the client has gone", func() bool { return s.Leave(0) })
	// Whoever comes now is not answered, and changes nothing: his command asks the next daemon.
	if err := c.Up(context.Background(), project(), ask.UpOptions{}, nil); !errors.Is(err, errdefs.ErrUnavailable) {
		t.Errorf("an up of a daemon that leaves: %v", err)
	}
}

func TestManyAtOnce(t *testing.T) {
	c, _, _ := serve(t, &apitest.Engine{
		OnExec: func(_ context.Context, _ string, o ask.ExecOptions, s process.IO) (process.Exit, error) {
			io.Copy(s.Stdout, s.Stdin)
			return process.Exit{Code: o.Index}, nil
		},
	})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			var out bytes.Buffer
			exit, err := c.Exec(context.Background(), "shop", ask.ExecOptions{Index: i},
				process.IO{Stdin: strings.NewReader("x"), Stdout: &out})
			if err != nil || exit.Code != i || out.String() != "x" {
				t.Errorf("%d: %+v, %v, %q", i, exit, err, out.String())
			}
		})
	}
	wg.Wait()
}

func TestNamesInBodiesAreChecked(t *testing.T) {
	c, _, _ := serve(t, &apitest.Engine{
		OnUp: func(_ context.Context, p *spec.Project, _ ask.UpOptions, _ event.Sink) error {
			t.Errorf("the engine was given %+v", p)
			return nil
		},
	})
	for what, change := range map[string]func(p *spec.Project){
		"service key":    func(p *spec.Project) { p.Services["../../srv/x"] = &spec.Service{Name: "../../srv/x", Image: "a"} },
		"inactive":       func(p *spec.Project) { p.Inactive = map[string]*spec.Service{"a/b": {Name: "a/b"}} },
		"service's name": func(p *spec.Project) { p.Services["web"].Name = "../x" },
		"no service":     func(p *spec.Project) { p.Services["db"] = nil },
		"container name": func(p *spec.Project) { p.Services["web"].ContainerName = "../x" },
		"network":        func(p *spec.Project) { p.Networks = map[string]*spec.Network{"a/b": {Key: "a/b"}} },
		"volume":         func(p *spec.Project) { p.Volumes = map[string]*spec.Volume{"a\nb": {}} },
		"config":         func(p *spec.Project) { p.Configs = map[string]*spec.FileObject{"": {}} },
		"secret":         func(p *spec.Project) { p.Secrets = map[string]*spec.FileObject{"x": nil} },
	} {
		p := project()
		change(p)
		if err := c.Up(context.Background(), p, ask.UpOptions{}, nil); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestListenSaysThatAPathIsTooLong(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("r", 100), "stack.sock")
	if _, err := server.Listen(path, -1); err == nil || !strings.Contains(err.Error(), "at most 103 bytes long") || !strings.Contains(err.Error(), "--run-root") {
		t.Errorf("got %v", err)
	}
}
