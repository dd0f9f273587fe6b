package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/spec"
)

// live is a bench in real time: what follows a file waits for the kernel.
func live(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{T: t, host: fake.New(), store: &fake.Store{}, roots: roots.Roots{State: dir + "/state", Run: dir + "/run"}}
	b.host.AddImage("app:1", v1.Config{Cmd: []string{"serve"}})
	b.boot()
	t.Cleanup(b.shut)
	return b
}

func (b *bench) logOf(name string) string {
	return filepath.Join(b.roots.State, "logs/shop", name+".log")
}

func (b *bench) logs(o ask.LogOptions) []string {
	b.Helper()
	var got []string
	if err := b.engine.Logs(b.Context(), "shop", o, func(e ask.LogEntry) error {
		got = append(got, fmt.Sprintf("%s %s", e.Container, e.Line))
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	return got
}

func TestLogsAreMergedByTime(t *testing.T) {
	b := live(t)
	b.up(project(service("a", func(s *spec.Service) { s.Replicas = 2 }), service("z")), ask.UpOptions{})
	at := time.Now()
	b.writeLog(b.logOf("a-1"), at, "one")
	b.writeLog(b.logOf("z-1"), at.Add(time.Second), "two")
	b.writeLog(b.logOf("a-2"), at.Add(2*time.Second), "three", "four")
	b.writeLog(b.logOf("a-1"), at.Add(3*time.Second), "five")
	for _, c := range []struct {
		name string
		o    ask.LogOptions
		want []string
	}{
		{"all", ask.LogOptions{Tail: -1}, []string{"shop-a-1 one", "shop-z-1 two", "shop-a-2 three", "shop-a-2 four", "shop-a-1 five"}},
		{"tail", ask.LogOptions{Tail: 1}, []string{"shop-z-1 two", "shop-a-2 four", "shop-a-1 five"}},
		{"since", ask.LogOptions{Tail: -1, Since: at.Add(1500 * time.Millisecond)}, []string{"shop-a-2 three", "shop-a-2 four", "shop-a-1 five"}},
		{"until", ask.LogOptions{Tail: -1, Until: at.Add(1500 * time.Millisecond)}, []string{"shop-a-1 one", "shop-z-1 two"}},
		{"service", ask.LogOptions{Tail: -1, Services: []string{"z"}}, []string{"shop-z-1 two"}},
		{"index", ask.LogOptions{Tail: -1, Services: []string{"a"}, Index: 2}, []string{"shop-a-2 three", "shop-a-2 four"}},
	} {
		if got := b.logs(c.o); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q", c.name, got)
		}
	}
	var told []ask.LogEntry
	nobody := ask.LogOptions{Services: []string{"nobody"}}
	tell := func(e ask.LogEntry) error { told = append(told, e); return nil }
	if err := b.engine.Logs(t.Context(), "shop", nobody, tell); err != nil || len(told) != 1 || !told[0].Notice || told[0].Service != "nobody" {
		t.Errorf("of a service without a container: %+v, %v", told, err)
	}
	nobody.Index = 2
	if err := b.engine.Logs(t.Context(), "shop", nobody, tell); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("of a replica that is not there: %v", err)
	}
}

// followed is a Logs with Follow under way.
type followed struct {
	t     *testing.T
	ctx   context.Context
	lines chan string
	ended chan error
}

// follow begins one, which ends after a minute at the latest.
func (b *bench) follow(o ask.LogOptions) *followed {
	ctx, cancel := context.WithTimeout(b.T.Context(), time.Minute)
	f := &followed{b.T, ctx, make(chan string, 16), make(chan error, 1)}
	var follower sync.WaitGroup
	follower.Go(func() {
		f.ended <- b.engine.Logs(ctx, "shop", o, func(e ask.LogEntry) error {
			select {
			case f.lines <- fmt.Sprintf("%s %s", e.Container, e.Line):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	})
	b.Cleanup(func() { // it makes a log's directory again that is removed meanwhile
		cancel()
		follower.Wait()
	})
	return f
}

// expect waits for the next line.
func (f *followed) expect(want string) {
	f.t.Helper()
	select {
	case got := <-f.lines:
		if got != want {
			f.t.Fatalf("got %q, expected %q", got, want)
		}
	case err := <-f.ended:
		f.t.Fatalf("it ended before %q: %v", want, err)
	case <-f.ctx.Done():
		f.t.Fatalf("%q did not come", want)
	}
}

// TestFollowShowsWhatEndedAtOnce: what a container says that has come and gone between two looks is shown then, and not when all has ended.
func TestFollowShowsWhatEndedAtOnce(t *testing.T) {
	b := live(t)
	b.host.Program = func(c runtime.Config) fake.Program {
		if c.Labels["com.docker.compose.service"] == "job" {
			return fake.Program{For: time.Nanosecond}
		}
		return fake.Program{}
	}
	p := project(service("job"), service("web"))
	b.up(p, ask.UpOptions{NoStart: true})
	b.writeLog(b.logOf("web-1"), time.Now(), "before")
	f := b.follow(ask.LogOptions{Follow: true, Linger: true, Tail: -1})
	f.expect("shop-web-1 before") // it has begun
	b.writeLog(b.logOf("job-1"), time.Now(), "done")
	b.up(p, ask.UpOptions{})
	f.expect("shop-job-1 done")
}

func TestLogsFollowWhatComesLaterAndEndWithTheLast(t *testing.T) {
	b := live(t)
	p := project(service("a"))
	b.up(p, ask.UpOptions{})
	b.writeLog(b.logOf("a-1"), time.Now(), "old", "before")
	f := b.follow(ask.LogOptions{Follow: true, Tail: 1})
	f.expect("shop-a-1 before")
	b.writeLog(b.logOf("a-1"), time.Now(), "now")
	f.expect("shop-a-1 now")
	// A service that is not there yet.
	p.Services["late"] = service("late")
	b.up(p, ask.UpOptions{})
	b.writeLog(b.logOf("late-1"), time.Now(), "hello")
	f.expect("shop-late-1 hello")
	if err := b.engine.Stop(f.ctx, "shop", ask.ServiceOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	if err := <-f.ended; err != nil {
		t.Errorf("all of it has ended, and Logs returned %v", err)
	}
	if len(f.lines) > 0 {
		t.Errorf("more came: %q", <-f.lines)
	}
}
