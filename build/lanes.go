package build

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/stackrun/stack/network"
)

// bridge is the network that commands of builds are on. No project can have one of this name.
const bridge = "stack/build"

// lanes are the network namespaces of one build. A RUN takes one that no other has at the moment, so that each build makes as many as it has
// commands at once, and no two builds share one.
type lanes struct {
	job *job

	mu   sync.Mutex
	free map[string][]network.Sandbox // by mode
	all  []string
	held bool // the bridge is ours too
}

// take gives a namespace: with the way out (default), or with nothing but lo (none).
func (l *lanes) take(ctx context.Context, mode string) (network.Sandbox, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.free[mode]); n > 0 {
		s := l.free[mode][n-1]
		l.free[mode] = l.free[mode][:n-1]
		return s, nil
	}
	id := keyPrefix + newID()
	cfg := network.SandboxConfig{ContainerID: id}
	if mode != "none" {
		if !l.held {
			if err := l.job.b.holdBridge(ctx); err != nil {
				return network.Sandbox{}, err
			}
			l.held = true
		}
		cfg.Endpoints = []network.EndpointConfig{{Network: bridge, ContainerID: id, ShortID: id[:len(keyPrefix)+12], Names: []string{id[:len(keyPrefix)+12]}}}
	}
	l.all = append(l.all, id)
	s, err := l.job.b.opt.Networks.Setup(ctx, cfg)
	if err != nil {
		return network.Sandbox{}, fmt.Errorf("cannot set up the network of a RUN: %w", err)
	}
	return s, nil
}

func (l *lanes) give(mode string, s network.Sandbox) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.free == nil {
		l.free = map[string][]network.Sandbox{}
	}
	l.free[mode] = append(l.free[mode], s)
}

// close takes the namespaces away, behind the build: the kernel takes its time.
func (l *lanes) close(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 && !l.held {
		return
	}
	all, held, b := l.all, l.held, l.job.b
	l.all, l.free, l.held = nil, nil, false
	ctx = context.WithoutCancel(ctx)
	b.behind.Go(func() {
		var errs []error
		for _, id := range all {
			errs = append(errs, b.opt.Networks.Teardown(ctx, id))
		}
		if held {
			errs = append(errs, b.dropBridge(ctx))
		}
		if err := errors.Join(errs...); err != nil {
			b.notice("the network of a build could not be taken away; the next build, or the next daemon, does it: " + err.Error())
		}
	})
}

// holdBridge makes the bridge, or takes part in it.
func (b *Builder) holdBridge(ctx context.Context) error {
	b.bridgeMu.Lock()
	defer b.bridgeMu.Unlock()
	if b.bridgeUsers == 0 {
		c := network.Config{ID: bridge, IPv4: true, Labels: map[string]string{LabelBuild: "true"}}
		if _, err := b.opt.Networks.Create(ctx, c); err != nil {
			return fmt.Errorf("cannot make the network of builds: %w", err)
		}
	}
	b.bridgeUsers++
	return nil
}

func (b *Builder) dropBridge(ctx context.Context) error {
	b.bridgeMu.Lock()
	defer b.bridgeMu.Unlock()
	if b.bridgeUsers--; b.bridgeUsers > 0 {
		return nil
	}
	return b.opt.Networks.Delete(ctx, bridge)
}

// LabelBuild marks what belongs to a build and not to a project.
const LabelBuild = "io.stack.build"
