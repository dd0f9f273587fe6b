package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/stackrun/stack/api/docker"
	"github.com/stackrun/stack/api/docker/system"
	"github.com/stackrun/stack/api/server"
	"github.com/stackrun/stack/build"
	"github.com/stackrun/stack/cmd/stack/settings"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/internal/store"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/history/book"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/volume"
)

// Setting is what an engine is opened with.
type Setting struct {
	Roots    roots.Roots
	Settings settings.Settings
	Version  string
	Log      *slog.Logger // what the engine and its rooms do of themselves
	Worked   func()       // is called, from any goroutine, when the engine has done something of itself
}

// Opener opens what a daemon stands in front of.
type Opener func(context.Context, Setting) (Opened, error)

// Opened is an engine with what stands in front of it.
type Opened struct {
	Engine server.Engine
	Docker http.Handler // of the Docker Engine API; nil = none
	Expect func()       // is called when somebody has connected, who may want a process to be started; nil = nobody wants to know
	Close  func(context.Context) error
}

// openEngine opens every room below the roots and puts the engine in front of them. What closes it ends them in the
// reverse order; containers run on.
func openEngine(ctx context.Context, with Setting) (_ Opened, err error) {
	r, s := with.Roots, with.Settings
	var closers []func(context.Context) error
	closeAll := func(ctx context.Context) error {
		var errs []error
		for i := len(closers) - 1; i >= 0; i-- {
			errs = append(errs, closers[i](ctx))
		}
		return errors.Join(errs...)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot open %s: %w", r.State, errors.Join(err, closeAll(ctx)))
		}
	}()
	db, damage, err := store.Recover(r.InState("stack.db"))
	if err != nil {
		return Opened{}, err
	}
	if damage != nil {
		with.Log.Error("the store of desired projects is damaged and was put aside; an empty one takes its place. Containers, volumes, networks and images are as they were; "+
			"`stack up` in each project's directory records it anew, and until then what was stopped may be started by its restart policy", "kept", damage.Aside, "error", damage.Err)
	}
	notice := func(text string) { with.Log.Error(text) }
	closers = append(closers, func(context.Context) error { return db.Close() })
	images, err := image.Open(ctx, image.Options{Roots: r, Mirrors: s.Registries.Mirrors, Insecure: s.Registries.Insecure, Offline: s.Offline, Notice: notice})
	if err != nil {
		return Opened{}, err
	}
	closers = append(closers, images.Close)
	volumes, err := volume.New(r, s.KeepVolumes, notice)
	if err != nil {
		return Opened{}, err
	}
	networks, err := network.New(ctx, network.Options{Roots: r, Pools: addressPools(s), Servers: s.DNS})
	if err != nil {
		return Opened{}, err
	}
	closers = append(closers, networks.Close)
	containers, err := runtime.New(ctx, runtime.Options{Roots: r, Notice: notice})
	if err != nil {
		return Opened{}, err
	}
	closers = append(closers, func(context.Context) error { return containers.Close() })
	builder, err := build.New(ctx, build.Options{Roots: r, Images: images, Containers: containers, Networks: networks, Offline: s.Offline, Notice: notice})
	if err != nil {
		return Opened{}, err
	}
	closers = append(closers, builder.Close)
	// Nothing depends on it: what is wrong with it is told with the first command that it should have recorded.
	book := book.Open(r.InState("history.db"))
	closers = append(closers, func(context.Context) error { return book.Close() })
	drivers := driver.Set{Images: images, Networks: networks, Volumes: volumes, Containers: containers, Builder: builder, Library: images}
	engine, err := reconcile.New(ctx, withFailpoints(drivers), reconcile.Options{Roots: r, Store: db, Version: with.Version, History: book, Log: with.Log, NoHealing: s.NoHealing, Offline: s.Offline, StoreLost: damage != nil, Worked: with.Worked})
	if err != nil {
		return Opened{}, err
	}
	closers = append(closers, engine.Close)
	api := docker.New(docker.Engines{System: engine, Containers: engine.Single(), Images: engine.AllImages(), Builds: engine.AllImages(), Networks: engine.AllNetworks(), Volumes: engine.AllVolumes()}, docker.Options{
		System: system.Options{Version: with.Version, Mirrors: s.Registries.Mirrors, Insecure: s.Registries.Insecure, Pools: addressPools(s)}, Log: with.Log,
	})
	return Opened{Engine: engine, Docker: api, Expect: containers.Expect, Close: closeAll}, nil
}

// addressPools are the settings' in the network's words.
func addressPools(s settings.Settings) []network.AddressPool {
	var pools []network.AddressPool
	for _, p := range s.AddressPools {
		pools = append(pools, network.AddressPool{Base: p.Base, Size: p.Size})
	}
	return pools
}
