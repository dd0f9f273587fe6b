package contract

import (
	"context"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/volume"
)

// Damage is what other hands do to a host.
type Damage string

const (
	BridgeRemoved    Damage = "bridge removed"     // of a network
	OffTheBridge     Damage = "off the bridge"     // a container's first interface
	DataRemoved      Damage = "data removed"       // of a volume
	PidsUnlimited    Damage = "pids unlimited"     // of a container
	ScratchUnmounted Damage = "/scratch unmounted" // in a container
)

// hinted waits for a hint.
func (b *bench) hinted(hints <-chan struct{}) {
	b.Helper()
	select {
	case _, open := <-hints:
		if !open {
			b.Error("the hints have ended")
		}
	case <-time.After(20 * time.Second):
		b.Error("no hint")
	}
}

// ends expects the end of hints whose context has ended.
func (b *bench) ends(hints <-chan struct{}) {
	b.Helper()
	for {
		select {
		case _, open := <-hints:
			if !open {
				return
			}
		case <-time.After(20 * time.Second):
			b.Error("the hints go on after their context")
			return
		}
	}
}

func healNetworks(b *bench) {
	ctx := b.Context()
	cfg := network.Config{ID: "net", IPv4: true, Driver: "bridge"}
	made, err := b.Networks.Create(ctx, cfg)
	b.must(err)
	id := strings.Repeat("a", 64)
	box := network.SandboxConfig{ContainerID: id, Endpoints: []network.EndpointConfig{{Network: "net", ContainerID: id, ShortID: objectid.Short(id), Names: []string{"web"}}}}
	set, err := b.Networks.Setup(ctx, box)
	b.must(err)
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	hints, err := b.Networks.Watch(watching)
	b.must(err)

	b.host.Damage(b.T, OffTheBridge, set.Endpoints[0].HostLink+"@"+id)
	b.hinted(hints)
	boxes, err := b.Networks.Sandboxes(ctx)
	b.must(err)
	if len(boxes) != 1 || boxes[0].Healthy || boxes[0].Problem == "" {
		b.Errorf("a damaged sandbox: %+v", boxes)
	}
	for range 2 {
		got, err := b.Networks.Mend(ctx, box, set.Path)
		b.must(err)
		if !got.Healthy || got.Problem != "" || got.Endpoints[0].Addr4 != set.Endpoints[0].Addr4 || got.Path != set.Path {
			b.Errorf("Mend gives %+v, it was %+v", got, set)
		}
	}

	b.host.Damage(b.T, BridgeRemoved, made.Link+"@net")
	b.hinted(hints)
	nets, err := b.Networks.List(ctx)
	b.must(err)
	if len(nets) != 1 || nets[0].Healthy || nets[0].Problem == "" {
		b.Errorf("a damaged network: %+v", nets)
	}
	got, err := b.Networks.Create(ctx, cfg)
	b.must(err)
	if !got.Healthy || got.Problem != "" {
		b.Errorf("Create leaves %q", got.Problem)
	}
	_, err = b.Networks.Mend(ctx, box, set.Path)
	b.must(err)
	cancel()
	b.ends(hints)
	b.must(b.Networks.Teardown(ctx, id))
	b.must(b.Networks.Delete(ctx, "net"))
}

func healVolumes(b *bench) {
	ctx := b.Context()
	made, err := b.Volumes.Create(ctx, volume.Config{ID: "data"})
	b.must(err)
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	hints, err := b.Volumes.Watch(watching)
	b.must(err)
	b.host.Damage(b.T, DataRemoved, made.Path+"@data")
	b.hinted(hints)
	list, err := b.Volumes.List(ctx)
	b.must(err)
	if len(list) != 1 || list[0].Problem == "" {
		b.Errorf("a damaged volume: %+v", list)
	}
	got, err := b.Volumes.Create(ctx, volume.Config{ID: "data"})
	b.must(err)
	if got.Problem != "" || got.Path != made.Path {
		b.Errorf("Create gives %+v", got)
	}
	cancel()
	b.ends(hints)
	b.must(b.Volumes.Delete(ctx, "data"))
}

func healContainers(b *bench) {
	ctx := b.Context()
	cfg := b.config("sleep", "1000")
	limit := int64(64)
	cfg.Spec.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &limit}}
	cfg.Mounts = []mount.Mount{{Type: "tmpfs", Source: "tmpfs", Target: "/scratch"}}
	_, err := b.Containers.Create(ctx, cfg)
	b.must(err)
	_, err = b.Containers.Mend(ctx, nobody)
	b.is("Mend of nobody", err, errdefs.ErrNotFound)
	if s, err := b.Containers.Mend(ctx, cfg.ID); err != nil || s.Status != runtime.Created {
		b.Errorf("Mend of one that does not run: %+v, %v", s, err)
	}
	started, err := b.Containers.Start(ctx, cfg.ID)
	b.must(err)
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	hints, err := b.Containers.Watch(watching)
	b.must(err)
	problem := func() string {
		b.Helper()
		list, err := b.Containers.List(ctx)
		b.must(err)
		if len(list) != 1 || list[0].Problem != b.state(cfg.ID).Problem {
			b.Errorf("listed are %+v, State is %+v", list, b.state(cfg.ID))
		}
		return list[0].Problem
	}

	b.host.Damage(b.T, PidsUnlimited, cfg.ID)
	b.hinted(hints)
	if problem() == "" {
		b.Error("a limit that was changed is no problem")
	}
	for range 2 {
		s, err := b.Containers.Mend(ctx, cfg.ID)
		b.must(err)
		if s.Problem != "" || s.Pid != started.Pid {
			b.Errorf("Mend gives %+v, it was %+v", s, started)
		}
	}

	b.host.Damage(b.T, ScratchUnmounted, cfg.ID)
	b.hinted(hints)
	s, err := b.Containers.Mend(ctx, cfg.ID)
	b.must(err)
	if s.Problem == "" || s.Status != runtime.Running || problem() == "" {
		b.Errorf("without its mount: %+v", s)
	}
	_, err = b.Containers.Stop(ctx, cfg.ID, 0)
	b.must(err)
	if p := problem(); p != "" {
		b.Errorf("one that does not run has the problem %q", p)
	}
	_, err = b.Containers.Start(ctx, cfg.ID)
	b.must(err)
	if p := problem(); p != "" {
		b.Errorf("after a restart: %q", p)
	}
	cancel()
	b.ends(hints)
	b.remove(cfg.ID)
}
