package build

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/network"
)

// bridge is the network that commands of builds are on. No project can have one of this name.
const bridge = "stack/build"

// labelBuild marks what belongs to a build and not to a project.
const labelBuild = "dev.stackrun.build"

// lanes are the network namespaces in which commands of builds run, and the bridge that leads out of them. A command has one to itself. What ran in
// one has no capability to change it and has ended when another command gets it; one of a privileged command is not used again. They stay for a moment
// behind the last build: making them costs a small build more than all the rest, and the kernel takes its time over taking them away.
type lanes struct {
	networks Networks
	notice   func(string)

	mu     sync.Mutex
	builds int                          // under way; guarded by mu
	free   map[string][]network.Sandbox // by mode; guarded by mu
	all    map[string]bool              // the ids of those that are there; guarded by mu
	up     bool                         // the bridge is there; guarded by mu
	idle   *time.Timer                  // behind the last build; guarded by mu
}

// linger is how long lanes stay behind the last build.
const linger = 10 * time.Second

// enter is for a build that begins, leave for one that ends.
func (l *lanes) enter() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.builds++
	if l.idle != nil {
		l.idle.Stop()
		l.idle = nil
	}
}

func (l *lanes) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.builds--; l.builds > 0 || len(l.all) == 0 && !l.up {
		return
	}
	l.idle = time.AfterFunc(linger, func() {
		if err := l.clear(context.Background()); err != nil {
			l.notice("the network of builds could not be taken away; the next daemon does it: " + err.Error())
		}
	})
}

// clear takes all of them away, unless a build is under way.
func (l *lanes) clear(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.builds > 0 {
		return nil
	}
	if l.idle != nil {
		l.idle.Stop()
		l.idle = nil
	}
	var errs []error
	for id := range l.all {
		errs = append(errs, l.networks.Teardown(ctx, id))
	}
	if l.up {
		errs = append(errs, l.networks.Delete(ctx, bridge))
	}
	l.all, l.free, l.up = nil, nil, false
	return errors.Join(errs...)
}

// take gives a namespace that nobody else has: with the way out (default), or with nothing but lo (none).
func (l *lanes) take(ctx context.Context, mode string) (network.Sandbox, error) {
	s, cfg, err := l.find(ctx, mode)
	if err != nil || s.Path != "" {
		return s, err
	}
	if s, err = l.networks.Setup(ctx, cfg); err != nil {
		return network.Sandbox{}, fmt.Errorf("cannot set up the network of a RUN: %w", err)
	}
	return s, nil
}

// find gives one that is free, or what is to be set up.
func (l *lanes) find(ctx context.Context, mode string) (s network.Sandbox, cfg network.SandboxConfig, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.free[mode]); n > 0 {
		s, l.free[mode] = l.free[mode][n-1], l.free[mode][:n-1]
		return s, cfg, nil
	}
	key := objectid.New()
	id := keyPrefix + key
	cfg.ContainerID = id
	if mode != "none" {
		if err := l.raise(ctx); err != nil {
			return s, cfg, err
		}
		short := keyPrefix + objectid.Short(key)
		cfg.Endpoints = []network.EndpointConfig{{Network: bridge, ContainerID: id, ShortID: short, Names: []string{short}}}
	}
	if l.all == nil {
		l.all, l.free = map[string]bool{}, map[string][]network.Sandbox{}
	}
	l.all[id] = true
	return s, cfg, nil
}

// raise makes the bridge. Precondition: l.mu is held.
func (l *lanes) raise(ctx context.Context) error {
	if l.up {
		return nil
	}
	l.up = true // a part of it may be there whatever comes of it
	if _, err := l.networks.Create(ctx, network.Config{ID: bridge, IPv4: true, Labels: map[string]string{labelBuild: "true"}}); err != nil {
		return fmt.Errorf("cannot make the network of builds: %w", err)
	}
	return nil
}

// give takes a namespace back. One that is used up is taken away.
func (l *lanes) give(ctx context.Context, mode string, s network.Sandbox, usedUp bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if usedUp {
		delete(l.all, s.ContainerID)
		return l.networks.Teardown(ctx, s.ContainerID)
	}
	l.free[mode] = append(l.free[mode], s)
	return nil
}
