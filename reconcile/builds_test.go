package reconcile_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/build"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// workshop is a directory for the sources of builds, and the requests that came to the builder.
type workshop struct {
	dir string

	mu   sync.Mutex
	asks []build.Request
}

func newWorkshop(t *testing.T) *workshop { return &workshop{dir: t.TempDir()} }

// context makes the sources name, with a Dockerfile.
func (w *workshop) context(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(w.dir, name)
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// watch notes the requests for images.
func (w *workshop) watch(h *fake.Host, images ...string) {
	for _, image := range images {
		h.Builds[image] = func(r build.Request, _ func(build.Progress)) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.asks = append(w.asks, r)
			return nil
		}
	}
}

func (w *workshop) built() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for _, r := range w.asks {
		names = append(names, r.Tags[0])
	}
	return names
}

// builds is a service that is built from dir, without a name for its image.
func builds(name, dir string, change ...func(*spec.Service)) *spec.Service {
	return service(name, append([]func(*spec.Service){func(s *spec.Service) {
		s.Image, s.Build = "", &spec.Build{Context: dir, Dockerfile: "Dockerfile"}
	}}, change...)...)
}

func reasons(v *ask.Preview, kind, name string) string {
	for _, c := range v.Changes {
		if string(c.ID.Kind) == kind && c.Name == name {
			text := string(c.Action)
			for _, r := range c.Reasons {
				text += ": " + r.String()
			}
			return text
		}
	}
	return ""
}

// TestBuildsWhatIsMissing: an up builds what is not here and not again; with --build what has changed makes its containers anew, and says why.
func TestBuildsWhatIsMissing(t *testing.T) {
	w := newWorkshop(t)
	dir := w.context(t, "app")
	run(t, func(b *bench) {
		w.watch(b.host, "shop-web")
		p := project(builds("web", dir), service("db"))
		if got := reasons(b.plan(p, ask.UpOptions{}), "image", "shop-web"); got != "build: it is not on this host" || len(w.built()) > 0 {
			b.Errorf("the plan: %q; built: %v", got, w.built())
		}
		b.up(p, ask.UpOptions{})
		rows := b.rows("shop")
		if rows["shop-web-1"].State != "running" || rows["shop-web-1"].Image != "shop-web" {
			b.Fatalf("got %+v", rows["shop-web-1"])
		}
		said := b.said()
		if i, j, k := index(said, "image shop-web Building"), index(said, "image shop-web Built"), index(said, "container shop-db-1 Creating"); i < 0 || j < i || k < j {
			b.Errorf("a build comes before everything else, and is told: %v", said)
		}
		if ops := b.changes(func() { b.up(p, ask.UpOptions{}) }); len(ops) > 0 {
			b.Errorf("an up without a change did %v", ops)
		}
		// Asked for, and nothing comes of it.
		first := b.rows("shop")["shop-web-1"].ID
		if got := reasons(b.plan(p, ask.UpOptions{Build: true}), "image", "shop-web"); got != "build: asked for by --build; with another image its containers are recreated" {
			b.Errorf("the plan: %q", got)
		}
		if ops := b.changes(func() { b.up(p, ask.UpOptions{Build: true}) }); !slices.Equal(ops, []string{"Builder.Build"}) {
			b.Errorf("an up --build that builds the same did %v", ops)
		}
		b.host.Sources[dir] = "other"
		b.up(p, ask.UpOptions{})
		if b.rows("shop")["shop-web-1"].ID != first {
			b.Error("an up looked at sources without being asked to")
		}
		b.events = nil
		b.up(p, ask.UpOptions{Build: true})
		if b.rows("shop")["shop-web-1"].ID == first {
			b.Error("what was built is another image, and its container stays")
		}
		if !slices.ContainsFunc(b.events, func(e event.Event) bool {
			return e.Name == "shop-web-1" && strings.Contains(e.Detail, "image id of shop-web")
		}) {
			b.Errorf("the cause is not told: %+v", b.events)
		}
		p.Services["web"].PullPolicy = "build"
		before := len(w.built())
		b.up(p, ask.UpOptions{})
		if len(w.built()) != before+1 {
			b.Errorf("pull_policy: build did not build: %v", w.built())
		}
		b.up(p, ask.UpOptions{NoBuild: true})
		if len(w.built()) != before+1 {
			b.Errorf("--no-build built: %v", w.built())
		}
		list, _ := b.host.Set().Images.List(b.Context())
		if i := slices.IndexFunc(list, func(i image.Info) bool { return slices.Contains(i.Refs, "shop-web") }); i < 0 || list[i].Config.Labels["com.docker.compose.project"] != "shop" || list[i].Config.Labels["com.docker.compose.service"] != "web" {
			b.Errorf("labels of the image: %+v", list)
		}
	})
}

// TestBuildsInTheHistory: a build of a plan, and one before it, are in the plan's entry, and in how its containers came to run.
func TestBuildsInTheHistory(t *testing.T) {
	w := newWorkshop(t)
	dir := w.context(t, "app")
	remembering(t, func(b *bench) {
		p := project(builds("web", dir))
		b.up(p, ask.UpOptions{})
		b.host.Sources[dir] = "other"
		b.up(p, ask.UpOptions{Build: true})
		b.up(p, ask.UpOptions{Build: true}) // nothing comes of it
		all := b.history()
		if len(all) != 2 {
			b.Fatalf("%d entries, expected 2: %+v", len(all), all)
		}
		for i, want := range []string{"it is not on this host", "asked for by --build"} {
			if c := all[i].Changes[0]; c.Action != plan.Make || c.Name != "shop-web" || c.Reasons[0].Path != want {
				b.Errorf("entry %d begins with %+v", i, c)
			}
		}
		why, err := b.engine.Why(b.Context(), "shop", ask.WhyOptions{Service: "web"})
		if err != nil {
			b.Fatal(err)
		}
		if path := why.Containers[0].Start.Path; path[0].What != "build image shop-web" {
			b.Errorf("how web came to run: %+v", path)
		}
	})
}

// TestFailedBuild: nothing is changed, and the error has the place in the file and in the Dockerfile, and the output.
func TestFailedBuild(t *testing.T) {
	w := newWorkshop(t)
	dir := w.context(t, "app")
	run(t, func(b *bench) {
		p := project(builds("web", dir), service("db"))
		p.Dir = w.dir
		at := &diag.Range{Start: diag.Pos{File: "/src/shop/compose.yaml", Line: 3, Column: 5}}
		p.Sources = spec.Sources{"services.web.build": *at}
		b.host.Builds["shop-web"] = func(build.Request, func(build.Progress)) error {
			return &build.Error{File: filepath.Join(dir, "Dockerfile"), Line: 12, Instruction: "RUN make all", Err: errors.New("exit code 2\nmake: *** no rule")}
		}
		err := b.engine.Up(b.Context(), p, ask.UpOptions{}, b.sink)
		var d *diag.Diagnostic
		if !errors.As(err, &d) || d.Subject == nil || d.Subject.Start.Line != 3 || !strings.Contains(d.Summary, "cannot build the image of service web: app/Dockerfile:12: RUN make all: exit code 2") || !slices.Contains(d.Notes, "make: *** no rule") {
			b.Errorf("got %v, %+v", err, d)
		}
		if left := b.host.Left(); len(left) > 0 {
			b.Errorf("a failed build leaves %v", left)
		}
		if err := b.engine.Build(b.Context(), p, ask.BuildOptions{}, b.sink); !strings.Contains(err.Error(), "app/Dockerfile:12") {
			b.Errorf("build: %v", err)
		}
		// With containers it is built before there is a plan.
		delete(b.host.Builds, "shop-web")
		b.up(p, ask.UpOptions{})
		b.host.Builds["shop-web"] = func(build.Request, func(build.Progress)) error {
			return &build.Error{Line: 1, Err: errdefs.ErrNotSupported}
		}
		p.Services["db"].Environment["CHANGED"] = "1"
		ops := b.changes(func() { err = b.engine.Up(b.Context(), p, ask.UpOptions{Build: true}, b.sink) })
		if err == nil || len(ops) > 0 {
			b.Errorf("error %v, and yet done: %v", err, ops)
		}
	})
}

// TestBuiltOnAnother: what an image is built on is built before it, once, and is its context by id; a circle is refused.
func TestBuiltOnAnother(t *testing.T) {
	w := newWorkshop(t)
	dir := w.context(t, "app")
	run(t, func(b *bench) {
		w.watch(b.host, "shop-base", "shop-web", "shop-worker")
		onBase := func(s *spec.Service) {
			s.Build.AdditionalContexts = map[string]string{"base": "service:base", "tools": dir, "os": "docker-image://debian:12"}
		}
		p := project(builds("base", dir, func(s *spec.Service) { s.Replicas = 0 }), builds("web", dir, onBase), builds("worker", dir, onBase))
		b.up(p, ask.UpOptions{})
		names := w.built()
		if slices.Sort(names); !slices.Equal(names, []string{"shop-base", "shop-web", "shop-worker"}) || w.asks[0].Tags[0] != "shop-base" {
			b.Fatalf("built %v, first %s", names, w.asks[0].Tags[0])
		}
		base, err := b.host.Set().Images.Resolve(b.Context(), "shop-base", v1.Platform{})
		if err != nil {
			b.Fatal(err)
		}
		got := w.asks[1].Contexts
		if got["base"] != "docker-image://"+base.ID.String() || got["tools"] != dir || got["os"] != "docker-image://debian:12" {
			b.Errorf("contexts: %v", got)
		}
		// One that has containers is built before the plan, and so is what it is built on.
		w.asks = nil
		b.up(p, ask.UpOptions{Build: true, Services: []string{"web"}, NoDeps: true})
		if names := w.built(); !slices.Equal(names, []string{"shop-base", "shop-web"}) {
			b.Errorf("up --build web built %v", names)
		}
		w.asks = nil
		if err := b.engine.Build(b.Context(), p, ask.BuildOptions{Services: []string{"worker"}}, b.sink); err != nil {
			b.Fatal(err)
		}
		if names := w.built(); !slices.Equal(names, []string{"shop-base", "shop-worker"}) {
			b.Errorf("build worker built %v", names)
		}
		p.Services["base"].Build.AdditionalContexts = map[string]string{"web": "service:web"}
		err = b.engine.Up(b.Context(), p, ask.UpOptions{}, b.sink)
		if err == nil || !strings.Contains(err.Error(), "circle") {
			b.Errorf("a circle: %v", err)
		}
	})
}

// TestNamedImages: one with a name is looked for in the registry first, and built when that has none; two services may have it.
func TestNamedImages(t *testing.T) {
	w := newWorkshop(t)
	dir := w.context(t, "app")
	run(t, func(b *bench) {
		w.watch(b.host, "made:1", "pulled:1")
		named := func(image string) func(*spec.Service) { return func(s *spec.Service) { s.Image = image } }
		b.host.Registry["pulled:1"] = fake.Image("pulled:1", v1.Config{Cmd: []string{"serve"}})
		p := project(builds("web", dir, named("made:1")), service("worker", named("made:1")), builds("api", dir, named("pulled:1")))
		b.up(p, ask.UpOptions{})
		if names := w.built(); !slices.Equal(names, []string{"made:1"}) {
			b.Errorf("built %v", names)
		}
		said := b.said()
		if index(said, "image made:1 Not pulled") < 0 || index(said, "image pulled:1 Pulled") < 0 {
			b.Errorf("said %v", said)
		}
		if slices.Contains(said, "image made:1 Error") {
			b.Error("an image that is built is told as an error of its pull")
		}
		// Never to be pulled, and not to be built: that is refused before anything happens.
		only := project(builds("x", dir))
		if err := b.engine.Up(b.Context(), only, ask.UpOptions{NoBuild: true}, nil); err == nil || !strings.Contains(err.Error(), "--no-build") {
			b.Errorf("--no-build without the image: %v", err)
		}
		// A pull of what is built: not of one that is never pulled, and of another with what to do when no registry has it.
		p.Services["web"].PullPolicy, p.Services["worker"].PullPolicy = "build", "never"
		b.events = nil
		if err := b.engine.Pull(b.Context(), p, nil, "", b.sink); err != nil || index(b.said(), "image made:1 Skipped") < 0 || index(b.said(), "image pulled:1 Pulled") < 0 {
			b.Errorf("pull: %v, %v", err, b.said())
		}
		p.Services["web"].PullPolicy = ""
		if err := b.engine.Pull(b.Context(), p, []string{"web"}, "", nil); err == nil || !strings.Contains(err.Error(), "`stack build web` builds it") {
			b.Errorf("pull of what only a build makes: %v", err)
		}
		never := project(builds("y", dir, func(s *spec.Service) { s.PullPolicy = "never" }))
		b.up(never, ask.UpOptions{})
	})
}

// TestBuildRequest: what a file says of a build reaches the builder.
func TestBuildRequest(t *testing.T) {
	w := newWorkshop(t)
	dir := w.context(t, "app")
	secret := filepath.Join(w.dir, "token")
	if err := os.WriteFile(secret, []byte("t"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := func(s string) *string { return &s }
	run(t, func(b *bench) {
		w.watch(b.host, "shop-web")
		mode := uint32(0o440)
		s := builds("web", dir)
		s.Build = &spec.Build{
			Context: dir, DockerfileInline: "FROM scratch", Args: map[string]*string{"A": text("1"), "B": text("2"), "C": nil}, Target: "final",
			Labels: map[string]string{"own": "label"}, Tags: []string{"other:1"}, NoCache: true, NoCacheFilter: []string{"deps"}, Pull: true, Network: "none",
			ExtraHosts: []spec.HostEntry{{Host: "h", Address: "10.0.0.9"}}, ShmSize: 5, Privileged: true,
			Secrets: []spec.FileUse{{Source: "file", Target: "token", UID: "10", GID: "11", Mode: &mode}, {Source: "env"}},
			Ulimits: map[string]spec.Ulimit{"nofile": {Soft: 1, Hard: -1}}, Platforms: []string{"linux/amd64"},
		}
		p := project(s)
		p.Secrets = map[string]*spec.FileObject{"file": {Key: "file", File: secret}, "env": {Key: "env", Environment: "TOKEN", Content: []byte("v")}}
		if err := b.engine.Build(b.Context(), p, ask.BuildOptions{Args: map[string]string{"B": "3", "D": "4"}}, b.sink); err != nil {
			b.Fatal(err)
		}
		r := w.asks[0]
		if r.Context != dir || r.Dockerfile != "" || r.Inline != "FROM scratch" || r.Target != "final" || !r.NoCache || !r.Pull || r.Network != "none" || r.ShmSize != 5 || !r.Privileged || !slices.Equal(r.NoCacheFilter, []string{"deps"}) {
			b.Errorf("got %+v", r)
		}
		if len(r.Args) != 3 || r.Args["A"] != "1" || r.Args["B"] != "3" || r.Args["D"] != "4" {
			b.Errorf("args %v", r.Args)
		}
		if !slices.Equal(r.Tags, []string{"shop-web", "other:1"}) || r.Labels["own"] != "label" || r.Labels["com.docker.compose.version"] == "" {
			b.Errorf("tags %v, labels %v", r.Tags, r.Labels)
		}
		if len(r.ExtraHosts) != 1 || r.ExtraHosts[0].Addr.String() != "10.0.0.9" || !slices.Equal(r.ExtraHosts[0].Names, []string{"h"}) {
			b.Errorf("hosts %v", r.ExtraHosts)
		}
		if !slices.Equal(r.Ulimits, []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1, Hard: ^uint64(0)}}) || r.Platform.Architecture != "amd64" {
			b.Errorf("ulimits %v, platform %v", r.Ulimits, r.Platform)
		}
		if len(r.Secrets) != 2 || r.Secrets[0].ID != "token" || r.Secrets[0].Source != secret || *r.Secrets[0].UID != 10 || *r.Secrets[0].GID != 11 || *r.Secrets[0].Mode != 0o440 || r.Secrets[1].ID != "env" || string(r.Secrets[1].Value) != "v" || r.Secrets[1].Source != "" {
			b.Errorf("secrets %+v", r.Secrets)
		}
	})
}

// TestBuildsThatCannotBegin are refused before anything happens, with what is missing.
func TestBuildsThatCannotBegin(t *testing.T) {
	w := newWorkshop(t)
	dir := w.context(t, "app")
	for name, c := range map[string]struct {
		change func(*spec.Build)
		want   string
	}{
		"no context":    {func(b *spec.Build) { b.Context = filepath.Join(dir, "none") }, "none: no such file"},
		"remote":        {func(b *spec.Build) { b.Context = "https://example.com/x.tar.gz" }, "no directory of this host"},
		"no Dockerfile": {func(b *spec.Build) { b.Dockerfile = "Other" }, "Other: no such file"},
		"a directory":   {func(b *spec.Build) { b.Dockerfile = "." }, "is a directory"},
		"no secret":     {func(b *spec.Build) { b.Secrets = []spec.FileUse{{Source: "none"}} }, "secret none is not in the file"},
		"unset":         {func(b *spec.Build) { b.Secrets = []spec.FileUse{{Source: "unset"}} }, "the variable TOKEN, which is not set"},
		"external":      {func(b *spec.Build) { b.Secrets = []spec.FileUse{{Source: "external"}} }, "secret external is external"},
		"platforms":     {func(b *spec.Build) { b.Platforms = []string{"linux/s390x", "linux/riscv64"} }, "its platforms are linux/s390x, linux/riscv64"},
		"network":       {func(b *spec.Build) { b.Network = "service:db" }, "a build has default, none or host"},
		"host-gateway":  {func(b *spec.Build) { b.ExtraHosts = []spec.HostEntry{{Host: "h", Address: "host-gateway"}} }, "host-gateway"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				p := project(builds("web", dir, func(s *spec.Service) { c.change(s.Build) }), service("db"))
				p.Secrets = map[string]*spec.FileObject{"unset": {Environment: "TOKEN"}, "external": {External: true}}
				ops := b.changes(func() {
					for _, err := range []error{b.engine.Up(b.Context(), p, ask.UpOptions{}, nil), b.engine.Build(b.Context(), p, ask.BuildOptions{}, nil)} {
						if err == nil || !strings.Contains(err.Error(), c.want) {
							b.Errorf("got %v, expected %q", err, c.want)
						}
					}
				})
				if len(ops) > 0 {
					b.Errorf("and yet done: %v", ops)
				}
			})
		})
	}
}

// TestBuildIsCancelled with its caller, and what has been asked for by others goes on.
func TestBuildIsCancelled(t *testing.T) {
	w := newWorkshop(t)
	dir := w.context(t, "app")
	run(t, func(b *bench) {
		ctx, cancel := context.WithCancel(b.Context())
		b.host.Builds["shop-web"] = func(build.Request, func(build.Progress)) error {
			cancel()
			return context.Canceled
		}
		p := project(builds("web", dir))
		if err := b.engine.Up(ctx, p, ask.UpOptions{}, b.sink); !errors.Is(err, context.Canceled) {
			b.Errorf("got %v", err)
		}
		if left := b.host.Left(); len(left) > 0 {
			b.Errorf("left: %v", left)
		}
		if err := b.engine.Build(ctx, p, ask.BuildOptions{}, b.sink); !errors.Is(err, context.Canceled) {
			b.Errorf("got %v", err)
		}
	})
}

// TestBuildBesideOneThatFails is ended, and says no more of it than that.
func TestBuildBesideOneThatFails(t *testing.T) {
	w := newWorkshop(t)
	dir := w.context(t, "app")
	run(t, func(b *bench) {
		b.host.Builds["shop-web"] = func(build.Request, func(build.Progress)) error {
			time.Sleep(time.Second) // both have begun
			return errors.New("no space")
		}
		b.host.Builds["shop-worker"] = func(build.Request, func(build.Progress)) error {
			time.Sleep(2 * time.Second) // it works while the other one fails
			return nil
		}
		err := b.engine.Build(b.Context(), project(builds("web", dir), builds("worker", dir)), ask.BuildOptions{}, b.sink)
		if err == nil || !strings.Contains(err.Error(), "cannot build the image of service web: no space") {
			b.Errorf("got %v", err)
		}
		for name, want := range map[string]string{"shop-web": "Error", "shop-worker": "Canceled"} {
			at := slices.IndexFunc(b.events, func(e event.Event) bool { return e.Name == name && e.Phase != event.Working })
			if at < 0 || b.events[at].Text != want || (want == "Canceled") != (b.events[at].Detail == "") {
				b.Errorf("%s: want %s, told %+v", name, want, b.events)
			}
		}
	})
}

// TestBuildIsTold: its steps and their output reach the caller, and events tell of the whole alone.
func TestBuildIsTold(t *testing.T) {
	w := newWorkshop(t)
	dir := w.context(t, "app")
	run(t, func(b *bench) {
		b.host.Builds["shop-web"] = func(_ build.Request, tell func(build.Progress)) error {
			tell(build.Progress{Step: 2, Steps: 4, Stage: "app", Text: "RUN make", Phase: build.Started})
			tell(build.Progress{Step: 2, Steps: 4, Stage: "app", Text: "RUN make", Phase: build.Output, Output: []byte("cc\n")})
			tell(build.Progress{Step: 2, Steps: 4, Stage: "app", Text: "RUN make", Phase: build.Done, Took: 1.5e9})
			tell(build.Progress{Text: "a word of warning", Phase: build.Warning})
			return nil
		}
		if err := b.engine.Build(b.Context(), project(builds("web", dir)), ask.BuildOptions{}, b.sink); err != nil {
			b.Fatal(err)
		}
		var got []string
		for _, e := range b.events {
			got = append(got, strings.TrimSpace(strings.Join([]string{string(e.Phase), e.Text, e.Detail, string(e.Output)}, "|")))
		}
		want := []string{"working|Building||", "working|Building|[app 2/4] RUN make|", "working|Building|[app 2/4]|cc", "working|Building|[app 2/4] RUN make: done in 1.5s|", "warning|Note|a word of warning|", "done|Built||"}
		if !slices.Equal(got, want) {
			b.Errorf("got %q", got)
		}
	})
}

// TestRemovesWhatWasBuilt: down --rmi local takes the images that were built for the project, and no others.
func TestRemovesWhatWasBuilt(t *testing.T) {
	w := newWorkshop(t)
	dir := w.context(t, "app")
	run(t, func(b *bench) {
		p := project(builds("web", dir), builds("api", dir, func(s *spec.Service) { s.Image, s.Build.Target = "api:1", "api" }), service("db"))
		b.up(p, ask.UpOptions{})
		if err := b.engine.Down(b.Context(), "shop", ask.DownOptions{RemoveImages: "local"}, b.sink); err != nil {
			b.Fatal(err)
		}
		list, _ := b.host.Set().Images.List(b.Context())
		var refs []string
		for _, i := range list {
			refs = append(refs, i.Refs...)
		}
		if slices.Sort(refs); !slices.Equal(refs, []string{"app:1", "app:2"}) {
			b.Errorf("left are %v", refs)
		}
	})
}

// secretive is a service whose containers could not be made: it has a secret that is not there.
func secretive(s *spec.Service) { s.Secrets = []spec.FileUse{{Source: "nowhere"}} }

// TestRunBuilds: a one-off's image is built when it is not here, and with Build again.
func TestRunBuilds(t *testing.T) {
	w := newWorkshop(t)
	dir := w.context(t, "app")
	run(t, func(b *bench) {
		w.watch(b.host, "shop-web")
		p := project(builds("web", dir))
		for range 2 {
			if _, err := b.engine.Run(b.Context(), p, ask.RunOptions{Service: "web", Detach: true, Build: len(w.built()) > 0}, process.IO{}, b.sink); err != nil {
				b.Fatal(err)
			}
		}
		if names := w.built(); len(names) != 2 {
			b.Errorf("built %v", names)
		}
		// What it is built on, too, and nothing else.
		w.watch(b.host, "shop-base", "shop-top", "shop-other")
		p = project(builds("base", dir, secretive), builds("other", dir), builds("top", dir, func(s *spec.Service) {
			s.Build.AdditionalContexts = map[string]string{"base": "service:base"}
		}))
		if _, err := b.engine.Run(b.Context(), p, ask.RunOptions{Service: "top", Detach: true}, process.IO{}, b.sink); err != nil {
			b.Fatal(err)
		}
		if names := w.built()[2:]; !slices.Equal(names, []string{"shop-base", "shop-top"}) {
			b.Errorf("built %v", names)
		}
	})
}

// TestHealingBuilds: what other hands have removed with its image comes again, also when it is built on a service that nobody has brought up.
func TestHealingBuilds(t *testing.T) {
	w := newWorkshop(t)
	dir := w.context(t, "app")
	run(t, func(b *bench) {
		w.watch(b.host, "shop-base", "shop-web")
		p := project(builds("base", dir, func(s *spec.Service) { s.Replicas = 0 }), builds("web", dir, func(s *spec.Service) {
			s.Build.AdditionalContexts = map[string]string{"base": "service:base"}
		}), service("db"))
		b.up(p, ask.UpOptions{Services: []string{"web"}})
		b.heal()
		id := b.rows("shop")["shop-web-1"].ID
		drivers := b.host.Set()
		b.kill("shop-web-1")
		for _, err := range []error{drivers.Containers.Delete(b.Context(), id), drivers.Images.Remove(b.Context(), id), drivers.Networks.Teardown(b.Context(), id), drivers.Images.Delete(b.Context(), "shop-web")} {
			if err != nil {
				b.Fatal(err)
			}
		}
		b.host.RemoveNetwork("shop_default") // somebody looks
		for range 3 {
			b.heal()
		}
		if got := b.running(); got != "web-1" {
			b.Errorf("running: %q; %v", got, b.said())
		}
		if names := w.built(); !slices.Equal(names, []string{"shop-base", "shop-web", "shop-web"}) {
			b.Errorf("built %v", names)
		}
	})
}
