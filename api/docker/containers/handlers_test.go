package containers

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/execs"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/single"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
)

// fake is an Engine of which a test says what it needs.
type fake struct {
	Engine
	details []single.Detail
	waits   chan single.WaitEnd
	attach  func(ctx context.Context, streams process.IO, ready func()) error
	entries []ask.LogEntry
	logs    single.Logs
	stops   single.StopOptions
	already bool
	copyIn  single.CopyIn
	usage   *process.Usage
	begun   execs.Detail
	runs    func(detach bool, streams process.IO) error
	create  error
	change  single.Change
}

func (f *fake) Update(_ context.Context, _ string, c single.Change) error {
	f.change = c
	return nil
}

func (f *fake) Create(context.Context, single.Want) (string, []string, error) {
	return "", nil, f.create
}

func (f *fake) List(context.Context) ([]single.Detail, error) { return f.details, nil }

func (f *fake) Inspect(_ context.Context, ref string) (single.Detail, error) {
	for _, d := range f.details {
		if d.ID == ref || d.Name == ref {
			return d, nil
		}
	}
	return single.Detail{}, errdefs.With(errdefs.ErrNotFound, errors.New("No such container: "+ref))
}

func (f *fake) Stop(_ context.Context, _ string, o single.StopOptions) (bool, error) {
	f.stops = o
	return f.already, nil
}

func (f *fake) Wait(context.Context, string, single.WaitFor) (func(context.Context) (single.WaitEnd, error), error) {
	return func(context.Context) (single.WaitEnd, error) { return <-f.waits, nil }, nil
}

func (f *fake) Attach(ctx context.Context, _ string, streams process.IO, ready func()) error {
	return f.attach(ctx, streams, ready)
}

func (f *fake) Logs(_ context.Context, _ string, o single.Logs) (func(context.Context, func(ask.LogEntry) error) error, error) {
	f.logs = o
	return func(_ context.Context, each func(ask.LogEntry) error) error {
		for _, x := range f.entries {
			if err := each(x); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func (f *fake) CopyIn(_ context.Context, _ string, o single.CopyIn, r io.Reader) error {
	f.copyIn = o
	_, err := io.Copy(io.Discard, r)
	return err
}

func (f *fake) CopyOut(_ context.Context, _ string, o runtime.CopyOut, w io.Writer) error {
	if o.Path == "/nosuch" {
		return errdefs.With(errdefs.ErrNotFound, errors.New("there is no /nosuch"))
	}
	out := tar.NewWriter(w)
	out.WriteHeader(&tar.Header{Name: "f", Typeflag: tar.TypeReg, Mode: 0o640, Size: 2, ModTime: time.Unix(5, 0)})
	out.Write([]byte("hi"))
	return out.Close()
}

func (f *fake) Usage(context.Context, string) (string, string, *process.Usage, error) {
	return "1", "web", f.usage, nil
}

func (f *fake) BeginExec(context.Context, string, execs.Start) (execs.Detail, error) {
	return f.begun, nil
}

func (f *fake) RunExec(_ context.Context, _ string, detach bool, streams process.IO) error {
	return f.runs(detach, streams)
}

// served is a server of the routes in front of f.
func served(t *testing.T, f *fake) *httptest.Server {
	t.Helper()
	m := &wire.Mux{}
	m.Add(Routes(f)...)
	s := httptest.NewServer(m)
	t.Cleanup(s.Close)
	return s
}

func send(t *testing.T, f *fake, method, path string, body io.Reader) *httptest.ResponseRecorder {
	t.Helper()
	m := &wire.Mux{}
	m.Add(Routes(f)...)
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest(method, path, body))
	return w
}

func web() single.Detail {
	return single.Detail{
		Container: ask.Container{ID: strings.Repeat("ab", 32), Name: "web", State: "running", Labels: map[string]string{"a": "b"}, CreatedAt: time.Unix(100, 0), Command: []string{"serve", "it"},
			Ports: []ask.Publisher{{URL: "0.0.0.0", TargetPort: 80, PublishedPort: 8080, Protocol: "tcp"}}},
		Spec: plan.Spec{Image: "app:1", Networks: map[string]plan.Endpoint{"n1": {}}}, ImageID: "sha256:12345678", NetworkIDs: map[string]string{"n1": "id1", "n2": "id2"},
	}
}

// TestWaitAnswersBeforeTheEnd: a client starts the container once it has the header.
func TestWaitAnswersBeforeTheEnd(t *testing.T) {
	f := &fake{waits: make(chan single.WaitEnd)}
	s := served(t, f)
	answer, err := http.Post(s.URL+"/v1.50/containers/web/wait?condition=next-exit", "", nil)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(answer, err)
	}
	defer answer.Body.Close()
	f.waits <- single.WaitEnd{Code: 3}
	text, err := io.ReadAll(answer.Body)
	if err != nil || strings.TrimSpace(string(text)) != `{"StatusCode":3}` {
		t.Errorf("%s, %v", text, err)
	}
	if w := send(t, f, "POST", "/containers/web/wait?condition=sometime", nil); w.Code != http.StatusBadRequest {
		t.Errorf("a condition that there is not: %d", w.Code)
	}
}

// dial sends a request whose connection is to be taken over.
func dial(t *testing.T, s *httptest.Server, path string, body string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	r, err := http.NewRequest("POST", s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "tcp")
	if err := r.Write(conn); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, r)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols || answer.Header.Get("Upgrade") != "tcp" {
		t.Fatalf("%+v, %v", answer, err)
	}
	return conn, in
}

// TestAttachIsHalfClosed: the end of what the client sends is the end of the input and of nothing else.
func TestAttachIsHalfClosed(t *testing.T) {
	f := &fake{details: []single.Detail{web()}}
	f.attach = func(ctx context.Context, streams process.IO, ready func()) error {
		ready()
		typed, err := io.ReadAll(streams.Stdin)
		if err != nil || ctx.Err() != nil {
			return err
		}
		streams.Stdout.Write(append([]byte("got "), typed...))
		streams.Stderr.Write([]byte("!"))
		return nil
	}
	conn, in := dial(t, served(t, f), "/v1.50/containers/web/attach?stream=1&stdin=1&stdout=1&stderr=1", "")
	io.WriteString(conn, "text")
	conn.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(in)
	if want := "\x01\x00\x00\x00\x00\x00\x00\x08got text\x02\x00\x00\x00\x00\x00\x00\x01!"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
}

// TestAttachIsStartedMeanwhile: who starts the container while the client is being told that it is attached finds its streams all the same, behind what
// the log has.
func TestAttachIsStartedMeanwhile(t *testing.T) {
	f := &fake{details: []single.Detail{web()}, entries: []ask.LogEntry{{Stream: "stdout", Line: []byte("before")}}}
	f.attach = func(ctx context.Context, streams process.IO, ready func()) error {
		var began, ended sync.WaitGroup
		began.Add(1)
		ended.Go(func() {
			began.Done()
			streams.Stdout.Write([]byte("now"))
		})
		ended.Go(func() { io.ReadAll(streams.Stdin) })
		began.Wait()
		ready()
		ended.Wait()
		return nil
	}
	conn, in := dial(t, served(t, f), "/v1.50/containers/web/attach?stream=1&logs=1&stdin=1&stdout=1", "")
	conn.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(in)
	if want := "\x01\x00\x00\x00\x00\x00\x00\x07before\n\x01\x00\x00\x00\x00\x00\x00\x03now"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
}

// TestDetach: the keys end the attachment of a terminal, whose output is as it is.
func TestDetach(t *testing.T) {
	d := web()
	d.TTY = true
	f := &fake{details: []single.Detail{d}}
	f.attach = func(ctx context.Context, streams process.IO, ready func()) error {
		ready()
		streams.Stdout.Write([]byte("$ "))
		typed, _ := io.ReadAll(streams.Stdin)
		streams.Stdout.Write(typed)
		<-ctx.Done()
		return nil
	}
	conn, in := dial(t, served(t, f), "/containers/web/attach?stream=1&stdin=1&stdout=1&detachKeys=ctrl-a,b", "")
	io.WriteString(conn, "x\x01b")
	if got, err := io.ReadAll(in); err != nil || string(got) != "$ x" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAttachRefuses(t *testing.T) {
	paused := web()
	paused.State = "paused"
	f := &fake{details: []single.Detail{paused}}
	for path, want := range map[string]int{"/containers/nobody/attach?stream=1": 404, "/containers/web/attach?stream=1": 409, "/containers/web/attach?detachKeys=alt-x": 400} {
		if w := send(t, f, "POST", path, nil); w.Code != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// TestExecTellsWhyOnItsStream: what cannot be executed is told where the output would come.
func TestExecTellsWhyOnItsStream(t *testing.T) {
	f := &fake{begun: execs.Detail{Want: execs.Want{Stdout: true, Stderr: true}}}
	f.runs = func(detach bool, streams process.IO) error {
		if detach {
			return errdefs.With(errdefs.ErrConflict, errors.New("it is not running"))
		}
		return errors.New("not found")
	}
	_, in := dial(t, served(t, f), "/exec/1/start", `{"Detach":false}`)
	if got, err := io.ReadAll(in); err != nil || string(got) != "\x02\x00\x00\x00\x00\x00\x00\x0bnot found\r\n" {
		t.Errorf("%q, %v", got, err)
	}
	m := &wire.Mux{}
	m.Add(Routes(f)...)
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/exec/1/start", strings.NewReader(`{"Detach":true}`))
	r.Header.Set("Content-Type", "application/json")
	m.ServeHTTP(w, r)
	if w.Code != http.StatusConflict {
		t.Errorf("detached: %d %s", w.Code, w.Body)
	}
}

func TestLogs(t *testing.T) {
	f := &fake{details: []single.Detail{web()}, entries: []ask.LogEntry{
		{Time: time.Unix(1, 5), Stream: "stdout", Line: []byte("one")}, {Time: time.Unix(2, 0), Stream: "stderr", Line: []byte("two")}, {Time: time.Unix(3, 0), Stream: "stdout", Line: []byte("th"), Partial: true},
	}}
	w := send(t, f, "GET", "/v1.50/containers/web/logs?stdout=1&stderr=1&tail=7&since=1.5&until=0", nil)
	if want := "\x01\x00\x00\x00\x00\x00\x00\x04one\n\x02\x00\x00\x00\x00\x00\x00\x04two\n\x01\x00\x00\x00\x00\x00\x00\x02th"; w.Body.String() != want || w.Header().Get("Content-Type") != "application/vnd.docker.multiplexed-stream" {
		t.Errorf("%q, %v", w.Body, w.Header())
	}
	if f.logs.Tail != 7 || !f.logs.Since.Equal(time.Unix(1, 500_000_000)) || !f.logs.Until.IsZero() || f.logs.Follow {
		t.Errorf("asked for %+v", f.logs)
	}
	w = send(t, f, "GET", "/v1.40/containers/web/logs?stdout=1&timestamps=1&tail=all", nil)
	if want := "\x01\x00\x00\x00\x00\x00\x00\x231970-01-01T00:00:01.000000005Z one\n"; !strings.HasPrefix(w.Body.String(), want) || strings.Contains(w.Body.String(), "two") || w.Header().Get("Content-Type") != "application/vnd.docker.raw-stream" || f.logs.Tail != -1 {
		t.Errorf("%q, %v", w.Body, w.Header())
	}
	if w := send(t, f, "GET", "/containers/web/logs", nil); w.Code != http.StatusBadRequest {
		t.Errorf("of no stream: %d", w.Code)
	}
}

func TestArchive(t *testing.T) {
	f := &fake{}
	head := send(t, f, "HEAD", "/containers/web/archive?path=/d/f", nil)
	raw, err := base64.StdEncoding.DecodeString(head.Header().Get("X-Docker-Container-Path-Stat"))
	var stat container.PathStat
	if err == nil {
		err = json.Unmarshal(raw, &stat)
	}
	if err != nil || stat.Name != "f" || stat.Size != 2 || stat.Mode != 0o640 || stat.Mtime.Unix() != 5 || head.Body.Len() != 0 {
		t.Errorf("%s, %v", raw, err)
	}
	get := send(t, f, "GET", "/containers/web/archive?path=/d/f", nil)
	in := tar.NewReader(bytes.NewReader(get.Body.Bytes()))
	if h, err := in.Next(); err != nil || h.Name != "f" || get.Header().Get("Content-Type") != "application/x-tar" {
		t.Errorf("%+v, %v", h, err)
	}
	if text, err := io.ReadAll(in); err != nil || string(text) != "hi" {
		t.Errorf("%q, %v", text, err)
	}
	for path, want := range map[string]int{"/containers/web/archive": 400, "/containers/web/archive?path=/nosuch": 404} {
		if w := send(t, f, "GET", path, nil); w.Code != want {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	put := send(t, f, "PUT", "/containers/web/archive?path=x/../y&copyUIDGID=1", strings.NewReader(strings.Repeat("\x00", 1024)))
	if put.Code != http.StatusOK || f.copyIn != (single.CopyIn{Path: "/y", AsUser: true}) {
		t.Errorf("%d %s, %+v", put.Code, put.Body, f.copyIn)
	}
}

func TestStopOptions(t *testing.T) {
	f := &fake{}
	if w := send(t, f, "POST", "/containers/web/stop?t=-1&signal=INT", nil); w.Code != http.StatusNoContent || *f.stops.Timeout != -time.Second || f.stops.Signal != "INT" {
		t.Errorf("%d, %+v", w.Code, f.stops)
	}
	f.already = true
	if w := send(t, f, "POST", "/containers/web/stop", nil); w.Code != http.StatusNotModified || f.stops.Timeout != nil || w.Body.Len() > 0 {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	if w := send(t, f, "POST", "/containers/web/stop?t=x", nil); w.Code != http.StatusBadRequest {
		t.Errorf("%d", w.Code)
	}
}

func TestListFilters(t *testing.T) {
	off := web()
	off.ID, off.Name, off.State, off.CreatedAt, off.Exit = strings.Repeat("cd", 32), "db", "exited", time.Unix(50, 0), &process.Exit{Code: 3, FinishedAt: time.Unix(60, 0)}
	off.Labels, off.Ports, off.Spec = map[string]string{"x": "y"}, nil, plan.Spec{Image: "redis", Mounts: []plan.Mount{{Type: "volume", Source: "data", Target: "/data"}}}
	f := &fake{details: []single.Detail{off, web()}}
	for query, want := range map[string]string{
		"": "web", "all=1": "web db", "limit=1": "web", `filters={"status":{"exited":true}}`: "db", `all=1&filters={"name":["we"]}`: "web", `all=1&filters={"name":["^/db$"]}`: "db", `all=1&filters={"name":["^w$"]}`: "",
		`all=1&filters={"label":["a=b"]}`: "web", `all=1&filters={"label":["a=c"]}`: "", `all=1&filters={"id":["cdc"]}`: "db", `filters={"exited":["3"]}`: "db", `filters={"exited":["4"]}`: "",
		`all=1&filters={"network":["n1"]}`: "web", `all=1&filters={"network":["id2"]}`: "", `all=1&filters={"volume":["data"]}`: "db", `all=1&filters={"volume":["/data"]}`: "db",
		`all=1&filters={"ancestor":["app:1"]}`: "web", `all=1&filters={"ancestor":["redis:latest"]}`: "", `all=1&filters={"publish":["8080"]}`: "web", `all=1&filters={"publish":["80"]}`: "", `all=1&filters={"expose":["80/tcp"]}`: "web",
		`filters={"before":["web"]}`: "db", `filters={"since":["db"]}`: "web", `all=1&filters={"health":["none"]}`: "web db", `all=1&filters={"is-task":["true"]}`: "",
	} {
		w := send(t, f, "GET", "/containers/json?"+strings.ReplaceAll(query, `"`, "%22"), nil)
		var rows []container.Summary
		if err := json.Unmarshal(w.Body.Bytes(), &rows); err != nil {
			t.Fatalf("%s: %v: %s", query, err, w.Body)
		}
		var names []string
		for _, r := range rows {
			names = append(names, strings.TrimPrefix(r.Names[0], "/"))
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %q, expected %q", query, got, want)
		}
	}
	for _, query := range []string{`filters={"status":["on"]}`, `filters={"exited":["x"]}`, `filters={"name":["("]}`, `filters={"nosuch":["x"]}`, `filters={"before":["nobody"]}`, `limit=x`} {
		if w := send(t, f, "GET", "/containers/json?"+strings.ReplaceAll(query, `"`, "%22"), nil); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", query, w.Code)
		}
	}
}

func TestStatusIsAsDockersIs(t *testing.T) {
	now := time.Unix(1000, 0)
	for want, d := range map[string]single.Detail{
		"Created":                         {Container: ask.Container{State: "created"}},
		"Up 2 minutes":                    {Container: ask.Container{State: "running", StartedAt: now.Add(-2 * time.Minute)}},
		"Up 2 minutes (Paused)":           {Container: ask.Container{State: "paused", StartedAt: now.Add(-2 * time.Minute)}},
		"Up 2 minutes (healthy)":          {Container: ask.Container{State: "running", Health: "healthy", StartedAt: now.Add(-2 * time.Minute)}},
		"Up 2 minutes (health: starting)": {Container: ask.Container{State: "running", Health: "starting", StartedAt: now.Add(-2 * time.Minute)}},
		"Exited (3) 5 seconds ago":        {Container: ask.Container{State: "exited", Exit: &process.Exit{Code: 3, FinishedAt: now.Add(-5 * time.Second)}}},
		"Restarting (3) 5 seconds ago":    {Container: ask.Container{State: "restarting", Exit: &process.Exit{Code: 3, FinishedAt: now.Add(-5 * time.Second)}}},
	} {
		if got := status(&d, now); got != want {
			t.Errorf("%q, expected %q", got, want)
		}
	}
}

// TestStats: once without a comparison, and nothing of what does not run.
func TestStats(t *testing.T) {
	f := &fake{usage: &process.Usage{CPU: 5, Memory: 100, MemoryLimit: 1000, InactiveCache: 40, Pids: 3, Received: 7, Read: 8}}
	w := send(t, f, "GET", "/containers/web/stats?stream=0&one-shot=1", nil)
	var s container.StatsResponse
	if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil || s.CPUStats.CPUUsage.TotalUsage != 5 || s.CPUStats.SystemUsage == 0 || s.MemoryStats.Stats["inactive_file"] != 40 || s.Networks["eth0"].RxBytes != 7 || s.PidsStats.Current != 3 {
		t.Errorf("%s, %v", w.Body, err)
	}
	f.usage = nil
	w = send(t, f, "GET", "/containers/web/stats?stream=0", nil)
	if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil || s.Name != "/web" {
		t.Errorf("%s, %v", w.Body, err)
	}
}

// TestCreateOfWhatIsNotThere: only for an image that is not there a client may believe that a pull helps.
func TestCreateOfWhatIsNotThere(t *testing.T) {
	missing := func(err error) error { return errdefs.With(errdefs.ErrNotFound, err) }
	for err, want := range map[error]int{
		missing(errdefs.With(single.ErrNoImage, errors.New("No such image: app"))): http.StatusNotFound,
		missing(errors.New("network nonet not found")):                             http.StatusBadRequest,
	} {
		s := served(t, &fake{create: err})
		resp, rerr := http.Post(s.URL+"/containers/create", "application/json", strings.NewReader(`{"Image":"app"}`))
		if rerr != nil {
			t.Fatal(rerr)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%v: %s, expected %d", err, resp.Status, want)
		}
	}
}

// TestUpdateOfProcesses: 0 is a limit taken away, nothing leaves it as it is.
func TestUpdateOfProcesses(t *testing.T) {
	for body, want := range map[string]int64{`{"PidsLimit":0}`: -1, `{"PidsLimit":-1}`: -1, `{"PidsLimit":7}`: 7, `{"Memory":67108864}`: 0} {
		f := &fake{}
		resp, err := http.Post(served(t, f).URL+"/containers/web/update", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || f.change.Resources.Pids != want {
			t.Errorf("%s: %s, a limit of %d, expected %d", body, resp.Status, f.change.Resources.Pids, want)
		}
	}
}
