package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
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

func TestLogsFollowWhatComesLaterAndEndWithTheLast(t *testing.T) {
	b := live(t)
	p := project(service("a"))
	b.up(p, ask.UpOptions{})
	b.writeLog(b.logOf("a-1"), time.Now(), "old", "before")
	lines, ended := make(chan string, 16), make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		ended <- b.engine.Logs(ctx, "shop", ask.LogOptions{Follow: true, Tail: 1}, func(e ask.LogEntry) error {
			lines <- fmt.Sprintf("%s %s", e.Container, e.Line)
			return nil
		})
	}()
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-lines:
			if got != want {
				t.Fatalf("got %q, expected %q", got, want)
			}
		case err := <-ended:
			t.Fatalf("it ended before %q: %v", want, err)
		case <-ctx.Done():
			t.Fatalf("%q did not come", want)
		}
	}
	expect("shop-a-1 before")
	b.writeLog(b.logOf("a-1"), time.Now(), "now")
	expect("shop-a-1 now")
	// A service that is not there yet.
	p.Services["late"] = service("late")
	b.up(p, ask.UpOptions{})
	b.writeLog(b.logOf("late-1"), time.Now(), "hello")
	expect("shop-late-1 hello")
	if err := b.engine.Stop(ctx, "shop", ask.ServiceOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("all of it has ended, and Logs returned %v", err)
	}
	if len(lines) > 0 {
		t.Errorf("more came: %q", <-lines)
	}
}
