package watch

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stackrun/stack/cmd/stack/watch/rule"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/runtime/archive"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

// daemon is a Daemon whose containers are maps of files.
type daemon struct {
	mu         sync.Mutex
	containers []ask.Container
	files      map[string]map[string]string // by container
	calls      []string
	hold       map[string]chan struct{} // a call that begins so waits for it
	fail       map[string]error
	events     []func(event.Event)
}

func (d *daemon) called(ctx context.Context, call string) error {
	d.mu.Lock()
	d.calls = append(d.calls, call)
	hold, err := d.hold[call], d.fail[call]
	d.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

func (d *daemon) Containers(context.Context, string) ([]ask.Container, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.containers), nil
}

func (d *daemon) Events(ctx context.Context, _ string, _ event.Window, s event.Sink) error {
	d.mu.Lock()
	d.events = append(d.events, s)
	d.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}

func (d *daemon) Up(ctx context.Context, _ *spec.Project, o ask.UpOptions, _ event.Sink) error {
	call := "up " + strings.Join(o.Services, " ")
	err := d.called(ctx, call)
	if err == nil {
		d.anew(o.Services[0])
	}
	return err
}

// anew gives a service a new container of each that it has.
func (d *daemon) anew(service string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, c := range d.containers {
		if c.Service == service {
			d.containers[i].ID += "'"
			d.files[d.containers[i].ID] = map[string]string{}
		}
	}
}

// of are the files of the container that is meant: by its id, or else the first of its index.
func (d *daemon) of(service string, index int, id string) map[string]string {
	for _, c := range d.containers {
		if c.Service == service && c.Replica == index && (id == "" || c.ID == id) {
			return d.files[c.ID]
		}
	}
	return nil
}

func (d *daemon) Restart(ctx context.Context, _ string, o ask.ServiceOptions, _ event.Sink) error {
	return d.called(ctx, "restart "+strings.Join(o.Services, " "))
}

func (d *daemon) Exec(ctx context.Context, _ string, o ask.ExecOptions, s process.IO) (process.Exit, error) {
	call := fmt.Sprintf("exec %s %d %s", o.Service, o.Index, strings.Join(o.Args, " "))
	err := d.called(ctx, call)
	if err != nil {
		io.WriteString(s.Stderr, err.Error())
		return process.Exit{Code: 3}, nil
	}
	return process.Exit{}, nil
}

func (d *daemon) CompareFiles(_ context.Context, _ string, o ask.FilesOptions) (out []archive.Difference, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range o.Files {
		have, ok := d.of(o.Service, o.Index, o.Container)[f.Path]
		out = append(out, archive.Difference{Differs: !ok || !f.Dir && int64(len(have)) != f.Size, UID: 7})
	}
	return out, nil
}

func (d *daemon) RemoveFiles(_ context.Context, _ string, o ask.FilesOptions) (out []archive.Difference, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range o.Files {
		in := d.of(o.Service, o.Index, o.Container)
		_, ok := in[f.Path]
		delete(in, f.Path)
		out = append(out, archive.Difference{Differs: ok})
	}
	return out, nil
}

func (d *daemon) CopyIn(ctx context.Context, _ string, o ask.CopyInOptions, r io.Reader, _ event.Sink) error {
	if err := d.called(ctx, fmt.Sprintf("copy %s %d", o.Service, o.Index)); err != nil {
		return err
	}
	in := tar.NewReader(r)
	for {
		h, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		text, err := io.ReadAll(in)
		if err != nil {
			return err
		}
		if h.Uid != 7 {
			return fmt.Errorf("%s is of %d", h.Name, h.Uid)
		}
		d.mu.Lock()
		d.of(o.Service, o.Index, o.Container)[filepath.Join(o.Path, h.Name)] = string(text) + h.Linkname
		d.mu.Unlock()
	}
}

// world is a session with its files and its daemon.
type world struct {
	t *testing.T
	*daemon
	session *Session
	dir     string

	told []Line // by the daemon's mu
}

// newWorld has services, each with so many containers, and rules made by of, which gets the directory.
func newWorld(t *testing.T, services map[string]*spec.Service, rules map[string][]spec.Watch, files ...string) *world {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: dir, daemon: &daemon{files: map[string]map[string]string{}, hold: map[string]chan struct{}{}, fail: map[string]error{}}}
	for _, f := range files {
		w.write(f, "1")
	}
	p := &spec.Project{Name: "p", Dir: dir, Services: services}
	var rs rule.Rules
	for name, s := range services {
		s.Name = name
		for n := range s.Replicas {
			w.containers = append(w.containers, ask.Container{ID: fmt.Sprint(name, n+1), Name: fmt.Sprintf("p-%s-%d", name, n+1), Service: name, Replica: n + 1, State: "running"})
			w.files[fmt.Sprint(name, n+1)] = map[string]string{}
		}
		for i, watch := range rules[name] {
			r, err := rule.New(watch, rule.Source{Service: name, Index: i, Path: filepath.Join(dir, watch.Path)})
			if err != nil {
				t.Fatal(err)
			}
			rs = append(rs, r)
		}
	}
	w.session = New(w.daemon, p, rs, Options{
		Tell: func(l Line) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.told = append(w.told, l)
		},
		Say:  func(text string) { t.Log(text) },
		GoOn: func(_ context.Context, f func() error) error { return f() },
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.session.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		w.session.Close()
	})
	w.eventually("the session listens", func() bool { return len(w.events) > 0 })
	return w
}

func (w *world) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path+".new~", []byte(text), 0o644)
	}
	if err == nil {
		err = os.Rename(path+".new~", path)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// eventually waits for f, which is called with the lock held.
func (w *world) eventually(what string, f func() bool) {
	w.t.Helper()
	defer func() {
		if w.t.Failed() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.t.Logf("calls %q, files %v, told %v", w.calls, w.files, w.told)
		}
	}()
	sandbox.Eventually(w.t, what, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return f()
	})
}

// tells waits until a line has text.
func (w *world) tells(text string) {
	w.t.Helper()
	w.eventually("it is told: "+text, func() bool {
		return slices.ContainsFunc(w.told, func(l Line) bool { return strings.Contains(l.String(), text) })
	})
}

// count is how often a call was made.
func (w *world) count(call string) int {
	n := 0
	for _, c := range w.calls {
		if c == call {
			n++
		}
	}
	return n
}

// TestOneBuildAtATime: what comes while an image is built is built once afterwards, however much it is.
func TestOneBuildAtATime(t *testing.T) {
	w := newWorld(t, map[string]*spec.Service{"web": {Replicas: 1}}, map[string][]spec.Watch{"web": {{Path: "src", Action: rule.Rebuild}}}, "src/a")
	hold := make(chan struct{})
	w.mu.Lock()
	w.hold["up web"] = hold
	w.mu.Unlock()
	w.write("src/a", "2")
	w.eventually("a build begins", func() bool { return w.count("up web") == 1 })
	for i := range 5 {
		w.write("src/a", fmt.Sprint(i))
		// Until it has been seen it might be one batch with the next.
		sandbox.Eventually(t, "it waits", func() bool {
			k := w.session.workers["web"]
			k.mu.Lock()
			defer k.mu.Unlock()
			return k.next != nil && len(k.next.jobs) > i
		})
	}
	close(hold)
	w.tells("src/a: built, the container was made anew")
	w.eventually("the next build", func() bool { return w.count("up web") == 2 && len(w.told) == 2 })
	if begun, busy := w.session.Doings(); begun != 6 || busy {
		t.Errorf("%d jobs, busy %v", begun, busy)
	}
}

// TestOneRestartForABatch: of rules, of a batch, and of services that are restarted with others.
func TestOneRestartForABatch(t *testing.T) {
	w := newWorld(t, map[string]*spec.Service{
		"db": {Replicas: 1}, "api": {Replicas: 1, DependsOn: map[string]spec.Dependency{"db": {Restart: true}}},
		"web": {Replicas: 1, DependsOn: map[string]spec.Dependency{"api": {Restart: true}}},
	}, map[string][]spec.Watch{
		"db":  {{Path: "src", Action: rule.Restart}},
		"web": {{Path: "src", Action: rule.SyncRestart, Target: "/src"}, {Path: "src/a", Action: rule.Restart}},
	}, "src/a", "src/b")
	hold := make(chan struct{})
	w.mu.Lock()
	w.hold["restart db"] = hold
	w.mu.Unlock()
	w.session.dispatch(w.session.rules.Batch([]rule.Change{{Path: filepath.Join(w.dir, "src/a")}, {Path: filepath.Join(w.dir, "src/b")}}))
	w.eventually("the files are copied and db is restarted", func() bool { return w.count("copy web 1") == 1 && w.count("restart db") == 1 })
	close(hold)
	w.tells("db: src/a, src/b: restarted (")
	w.tells("web: src/a, src/b: 2 files copied, restarted")
	w.tells("web: src/a, src/b: 2 files copied, restarted with what it depends on (")
	w.mu.Lock()
	if want := []string{"copy web 1", "restart db"}; !slices.Equal(w.calls, want) {
		t.Errorf("calls %q, want %q", w.calls, want)
	}
	w.mu.Unlock()
	// Batch after batch, while they wait for each other: none waits for ever.
	for range 20 {
		w.session.dispatch(w.session.rules.Batch([]rule.Change{{Path: filepath.Join(w.dir, "src/a"), Gone: true}}))
	}
	sandbox.Eventually(t, "all is done", func() bool { _, busy := w.session.Doings(); return !busy })
	w.mu.Lock()
	defer w.mu.Unlock()
	if last := w.calls[len(w.calls)-1]; last != "restart db" && last != "restart web" {
		t.Errorf("the last call was %s", last)
	}
}

// TestRestartOfWhatIsStopped: a restart of another service does not start it, so its own does, and says so.
func TestRestartOfWhatIsStopped(t *testing.T) {
	w := newWorld(t, map[string]*spec.Service{
		"db": {Replicas: 1}, "web": {Replicas: 1, DependsOn: map[string]spec.Dependency{"db": {Restart: true}}},
	}, map[string][]spec.Watch{"db": {{Path: "src", Action: rule.Restart}}, "web": {{Path: "src", Action: rule.Restart}}}, "src/a")
	w.mu.Lock()
	for i := range w.containers {
		w.containers[i].State = "exited"
	}
	w.mu.Unlock()
	w.session.dispatch(w.session.rules.Batch([]rule.Change{{Path: filepath.Join(w.dir, "src/a")}}))
	w.tells("web: src/a: restarted (")
	w.mu.Lock()
	defer w.mu.Unlock()
	if want := []string{"restart db", "restart web"}; !slices.Equal(w.calls, want) {
		t.Errorf("calls %q, want %q", w.calls, want)
	}
}

// TestCommandOfWhatIsPaused: nothing can be run there, which is said.
func TestCommandOfWhatIsPaused(t *testing.T) {
	w := newWorld(t, map[string]*spec.Service{"web": {Replicas: 2}}, map[string][]spec.Watch{
		"web": {{Path: "src", Action: rule.SyncExec, Target: "/src", Exec: &spec.Hook{Command: []string{"make"}}}},
	}, "src/a")
	w.mu.Lock()
	w.containers[1].State = "paused"
	w.mu.Unlock()
	w.session.dispatch(w.session.rules.Batch([]rule.Change{{Path: filepath.Join(w.dir, "src/a")}}))
	w.tells("web: src/a: 1 file copied, ran `make`; `make` is not run in p-web-2, which is paused (")
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.count("exec web 1 make"); n != 1 || w.count("exec web 2 make") != 0 {
		t.Errorf("calls %q", w.calls)
	}
}

// TestCopies: all replicas get what changes, in the order build, copy, restart, command; what one has already it does not get.
func TestCopies(t *testing.T) {
	w := newWorld(t, map[string]*spec.Service{"web": {Replicas: 2}}, map[string][]spec.Watch{"web": {
		{Path: "src", Action: rule.SyncExec, Target: "/app", Exec: &spec.Hook{Command: []string{"reload", "now"}}},
		{Path: "conf", Action: rule.SyncRestart, Target: "/conf"},
	}}, "src/a", "conf/a")
	w.mu.Lock()
	w.files["web1"]["/app/a"] = "22"
	w.mu.Unlock()
	w.write("src/a", "22")
	w.tells("web: src/a: 1 file copied, ran `reload now` (")
	w.eventually("the second got it", func() bool { return w.files["web2"]["/app/a"] == "22" })
	w.mu.Lock()
	if want := []string{"copy web 2", "exec web 1 reload now", "exec web 2 reload now"}; !slices.Equal(w.calls, want) {
		t.Errorf("calls %q, want %q", w.calls, want)
	}
	w.calls = nil
	w.mu.Unlock()
	if err := os.Remove(filepath.Join(w.dir, "src/a")); err != nil {
		t.Fatal(err)
	}
	w.tells("web: src/a: 1 file removed, ran `reload now` (")
	w.write("conf/a", "22")
	w.tells("web: conf/a: 1 file copied, restarted (")
	w.eventually("both have it", func() bool {
		return w.files["web1"]["/conf/a"] == "22" && w.files["web2"]["/conf/a"] == "22" && w.files["web1"]["/app/a"] == ""
	})
	// A command that fails is told with what it says; the rest goes on.
	w.mu.Lock()
	w.fail["exec web 1 reload now"] = errors.New("no such page")
	w.mu.Unlock()
	w.write("src/a", "333")
	w.tells("`reload now` in p-web-1 ended with code 3:\n  no such page")
}

// TestNewContainersGetEverything: what was copied since the session began, and what initial_sync is for; and again after a copy that failed.
func TestNewContainersGetEverything(t *testing.T) {
	w := newWorld(t, map[string]*spec.Service{"web": {Replicas: 1}}, map[string][]spec.Watch{"web": {
		{Path: "first", Action: rule.Sync, Target: "/first", InitialSync: true}, {Path: "src", Action: rule.Sync, Target: "/src"}, {Path: "v", Action: rule.Rebuild},
	}}, "first/a", "first/sub/b", "src/a", "src/b", "v")
	w.tells("web: 2 files copied into a new container (")
	w.write("src/a", "22")
	w.tells("web: src/a: 1 file copied (")
	has := func(want string) func() bool {
		return func() bool {
			var all []string
			for path, text := range w.of("web", 1, "") {
				if text != "" {
					all = append(all, path+"="+text)
				}
			}
			slices.Sort(all)
			return strings.Join(all, " ") == want
		}
	}
	everything := "/first/a=1 /first/sub/b=1 /src/a=22"
	w.eventually("the container has everything", has(everything))
	w.write("v", "2")
	w.tells("web: v: built, the container was made anew, 3 files copied into a new container (")
	w.eventually("the new one too", has(everything))
	// By somebody else.
	w.anew("web")
	w.mu.Lock()
	tell := w.events[0]
	w.mu.Unlock()
	tell(event.Event{Kind: "container", Service: "web", Phase: event.Done, Text: "Started"})
	w.eventually("the next one too", has(everything))
	w.mu.Lock()
	w.fail["copy web 1"] = errors.New("disk full")
	w.mu.Unlock()
	w.write("src/a", "333")
	w.tells("web: src/a: not copied into p-web-1: disk full (")
	w.mu.Lock()
	delete(w.fail, "copy web 1")
	w.mu.Unlock()
	w.write("src/b", "22")
	w.eventually("what had failed comes with the next", has("/first/a=1 /first/sub/b=1 /src/a=333 /src/b=22"))
}

// TestOneThatIsMadeBeside: a container that is made while its predecessor runs, as a recreate does, gets everything, and its command is run in it; not the
// predecessor, which has the same index and everything.
func TestOneThatIsMadeBeside(t *testing.T) {
	w := newWorld(t, map[string]*spec.Service{"web": {Replicas: 1}}, map[string][]spec.Watch{"web": {
		{Path: "src", Action: rule.SyncExec, Target: "/src", Exec: &spec.Hook{Command: []string{"reload"}}},
	}}, "src/a")
	w.write("src/a", "22")
	w.tells("web: src/a: 1 file copied, ran `reload` (")
	happens := func(text string) {
		w.mu.Lock()
		tell := w.events[0]
		w.mu.Unlock()
		tell(event.Event{Kind: "container", Service: "web", Phase: event.Done, Text: text})
	}
	w.mu.Lock()
	w.containers = append(w.containers, ask.Container{ID: "next", Name: "p-web-1", Service: "web", Replica: 1, State: "created"})
	w.files["next"] = map[string]string{}
	w.mu.Unlock()
	happens("Created")
	w.eventually("the new one has everything", func() bool { return w.files["next"]["/src/a"] == "22" })
	w.mu.Lock()
	w.containers = w.containers[1:]
	w.containers[0].State = "running"
	w.mu.Unlock()
	happens("Started")
	w.eventually("its command was run", func() bool { return w.count("exec web 1 reload") == 2 })
}

// TestErrorsAreOfTheirService: a build that fails keeps neither the service's files nor other services from being copied.
func TestErrorsAreOfTheirService(t *testing.T) {
	w := newWorld(t, map[string]*spec.Service{"web": {Replicas: 1}, "api": {Replicas: 1}, "none": {}}, map[string][]spec.Watch{
		"web":  {{Path: "src", Action: rule.Sync, Target: "/src"}, {Path: "src", Action: rule.Rebuild}},
		"api":  {{Path: "src", Action: rule.Sync, Target: "/src"}},
		"none": {{Path: "src", Action: rule.Sync, Target: "/src"}},
	}, "src/a")
	w.mu.Lock()
	w.fail["up web"] = errors.New("RUN has failed")
	w.mu.Unlock()
	w.write("src/a", "22")
	w.tells("web: src/a: 1 file copied; not built: RUN has failed (")
	w.tells("api: src/a: 1 file copied (")
	w.tells("none: src/a: not copied: there is no container (")
}

// TestPack: a stream is what it says although files change while it is written.
func TestPack(t *testing.T) {
	w := newWorld(t, map[string]*spec.Service{"web": {Replicas: 1}}, map[string][]spec.Watch{"web": {{Path: "src", Action: rule.Sync, Target: "/a/b"}}}, "src/a")
	if err := os.Symlink("a", filepath.Join(w.dir, "src/l")); err != nil {
		t.Fatal(err)
	}
	w.write("src/d/e/f", "deep")
	w.eventually("all is there", func() bool {
		f := w.files["web1"]
		_, dir := f["/a/b/d/e"]
		return f["/a/b/l"] == "a" && f["/a/b/d/e/f"] == "deep" && dir
	})
	if got := common([]parcel{{at: "/a/b/c"}, {at: "/a/b/d/e"}, {at: "/a/bc"}}); got != "/a" {
		t.Errorf("common %s", got)
	}
	if got := common([]parcel{{at: "/a/b/c"}, {at: "/a/b"}}); got != "/a" {
		t.Errorf("common %s", got)
	}
	if got := common([]parcel{{at: "/x"}, {at: "/a/b"}}); got != "/" {
		t.Errorf("common %s", got)
	}
}
