package reconcile_test

import (
	"context"
	"fmt"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/reconcile"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/spec"
)

// hundred is an engine on a host that costs nothing, and a project of 100 services: what remains is the loop's own work.
func hundred(b *testing.B) (*reconcile.Engine, *spec.Project) {
	b.Helper()
	host := fake.New()
	host.AddImage("app:1", v1.Config{Cmd: []string{"serve"}})
	dir := b.TempDir()
	e, err := reconcile.New(b.Context(), host.Set(), reconcile.Options{Roots: roots.Roots{State: dir + "/state", Run: dir + "/run"}, Store: &fake.Store{}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	var services []*spec.Service
	for i := range 100 {
		services = append(services, service(fmt.Sprintf("s%d", i)))
	}
	return e, project(services...)
}

func BenchmarkUpDown100(b *testing.B) {
	e, p := hundred(b)
	for b.Loop() {
		if err := e.Up(b.Context(), p, ask.UpOptions{}, nil); err != nil {
			b.Fatal(err)
		}
		if err := e.Down(b.Context(), p.Name, ask.DownOptions{}, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUpOfNothing100(b *testing.B) {
	e, p := hundred(b)
	if err := e.Up(b.Context(), p, ask.UpOptions{}, nil); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := e.Up(b.Context(), p, ask.UpOptions{}, nil); err != nil {
			b.Fatal(err)
		}
	}
}
