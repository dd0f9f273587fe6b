// Package contract is what package driver promises, as tests: they run against the fake host, on which the loop is tested, and
// against the real drivers, so that what is true of the one is true of the other.
package contract

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/basespec"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/volume"
)

// Host is a machine with one image on it. Its containers know three programs, as arguments: "sh -c 'exit N'",
// "sleep 1000", and "/missing", which is not there.
type Host interface {
	// Open is a daemon's beginning.
	Open(t *testing.T) driver.Set
	// Kill is its sudden end: what runs runs on.
	Kill(t *testing.T)
	// Image is the reference of the image.
	Image() string
	// Damage is done by other hands to what: "bridge@network", "link@container", "path@volume", or a container's id.
	Damage(t *testing.T, how Damage, what string)
}

// Run tests every promise on a host of its own.
func Run(t *testing.T, host func(t *testing.T) Host) {
	for name, test := range map[string]func(*bench){
		"Containers/CreateAndDeleteAreIdempotent": createAndDelete,
		"Containers/Exits":                        exits,
		"Containers/RunningOnesAreKept":           running,
		"Containers/Exec":                         exec,
		"Containers/Copy":                         copies,
		"Containers/Pause":                        pause,
		"Containers/Processes":                    processes,
		"Containers/Listening":                    listening,
		"Containers/Usage":                        usage,
		"Containers/OutliveTheDaemon":             outlive,
		"Images":                                  images,
		"Builder":                                 builds,
		"Networks":                                networks,
		"Networks/Handover":                       handover,
		"Networks/Rewire":                         rewire,
		"Networks/KeepAddresses":                  keepAddresses,
		"Volumes":                                 volumes,
		"Healing/Networks":                        healNetworks,
		"Healing/Volumes":                         healVolumes,
		"Healing/Containers":                      healContainers,
	} {
		t.Run(name, func(t *testing.T) {
			h := host(t)
			test(&bench{T: t, host: h, Set: h.Open(t)})
		})
	}
}

type bench struct {
	*testing.T
	host Host
	driver.Set
	made int
}

// reopen is the end of one daemon and the beginning of the next.
func (b *bench) reopen() {
	b.Helper()
	b.host.Kill(b.T)
	b.Set = b.host.Open(b.T)
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// is expects an error of a kind; nil = success.
func (b *bench) is(what string, err, kind error) {
	b.Helper()
	if kind == nil && err != nil || kind != nil && !errors.Is(err, kind) {
		b.Errorf("%s: expected %v but got %v", what, kind, err)
	}
}

// config is a container that runs args, with its snapshot; both are removed at the end.
func (b *bench) config(args ...string) runtime.Config {
	b.Helper()
	b.made++
	id := fmt.Sprintf("%064x", b.made)
	info, err := b.Images.Resolve(b.Context(), b.host.Image(), v1.Platform{})
	b.must(err)
	root, err := b.Images.Prepare(b.Context(), id, info.ID)
	b.must(err)
	spec := basespec.New()
	spec.Process.Args = args
	return runtime.Config{ID: id, Spec: spec, Root: root, Labels: map[string]string{"test": b.Name()}, CreatedAt: time.Unix(1700000000, 0)}
}

func (b *bench) create(args ...string) string {
	b.Helper()
	cfg := b.config(args...)
	_, err := b.Containers.Create(b.Context(), cfg)
	b.must(err)
	return cfg.ID
}

func (b *bench) start(args ...string) (string, runtime.State) {
	b.Helper()
	id := b.create(args...)
	s, err := b.Containers.Start(b.Context(), id)
	b.must(err)
	return id, s
}

func (b *bench) state(id string) runtime.State {
	b.Helper()
	s, err := b.Containers.State(b.Context(), id)
	b.must(err)
	return s
}

// remove takes a container away, twice: the second time there is nothing to do.
func (b *bench) remove(id string) {
	b.Helper()
	for range 2 {
		_, err := b.Containers.Stop(b.Context(), id, 0)
		if !errors.Is(err, errdefs.ErrNotFound) {
			b.must(err)
		}
		b.must(b.Containers.Delete(b.Context(), id))
		b.must(b.Images.Remove(b.Context(), id))
	}
}

const nobody = "00000000000000000000000000000000000000000000000000000000000000ff"

func createAndDelete(b *bench) {
	ctx := b.Context()
	cfg := b.config("sleep", "1000")
	for range 2 {
		s, err := b.Containers.Create(ctx, cfg)
		b.must(err)
		if s.Status != runtime.Created || s.Pid != 0 || s.Labels["test"] != b.Name() {
			b.Errorf("got %+v", s)
		}
	}
	other := cfg
	other.Init = true
	_, err := b.Containers.Create(ctx, other)
	b.is("another configuration under the same id", err, errdefs.ErrAlreadyExists)
	b.must(b.Containers.Replace(ctx, other))
	if s := b.state(cfg.ID); s.Config == nil || !s.Config.Init {
		b.Error("Replace has not replaced")
	}
	_, err = b.Containers.State(ctx, nobody)
	b.is("State of nobody", err, errdefs.ErrNotFound)
	_, err = b.Containers.Start(ctx, nobody)
	b.is("Start of nobody", err, errdefs.ErrNotFound)
	missing := cfg
	missing.ID = nobody
	b.must(b.Containers.Reserve(ctx, cfg.ID))
	b.must(b.Containers.Reserve(ctx, cfg.ID))
	b.is("Reserve of nobody", b.Containers.Reserve(ctx, missing.ID), errdefs.ErrNotFound)
	b.is("Replace of nobody", b.Containers.Replace(ctx, missing), errdefs.ErrNotFound)
	b.is("Delete of nobody", b.Containers.Delete(ctx, nobody), nil)
	_, err = b.Containers.Wait(ctx, cfg.ID)
	b.is("Wait for what was not started", err, errdefs.ErrConflict)
	b.is("Kill of what was not started", b.Containers.Kill(ctx, cfg.ID, unix.SIGTERM), nil)
	b.reopen()
	if s := b.state(cfg.ID); s.Status != runtime.Created {
		b.Errorf("after a restart of the daemon: %+v", s)
	}
	b.remove(cfg.ID)
	list, err := b.Containers.List(ctx)
	b.must(err)
	if len(list) != 0 {
		b.Errorf("left %v", list)
	}
}

func exits(b *bench) {
	ctx := b.Context()
	id, _ := b.start("sh", "-c", "exit 7")
	for range 2 {
		x, err := b.Containers.Wait(ctx, id)
		b.must(err)
		if x.Code != 7 || x.FinishedAt.IsZero() {
			b.Errorf("got %+v", x)
		}
	}
	if s := b.state(id); s.Status != runtime.Stopped || s.Exit == nil || s.Exit.Code != 7 || s.Pid != 0 {
		b.Errorf("got %+v", s)
	}
	// Again: a run of its own, with an exit of its own.
	_, err := b.Containers.Start(ctx, id)
	b.must(err)
	x, err := b.Containers.Wait(ctx, id)
	b.must(err)
	if x.Code != 7 {
		b.Errorf("the second run: %+v", x)
	}
	b.is("Kill of what has ended", b.Containers.Kill(ctx, id, unix.SIGKILL), nil)
	stopped, err := b.Containers.Stop(ctx, id, -1)
	b.must(err)
	if stopped.Code != 7 {
		b.Errorf("Stop of what has ended: %+v", stopped)
	}
	b.remove(id)

	bad := b.create("/missing")
	if _, err := b.Containers.Start(ctx, bad); err == nil {
		b.Error("a program that is not there was started")
	}
	if s := b.state(bad); s.Status != runtime.Stopped || s.Exit == nil || s.Exit.Code != 127 || s.Exit.Error == "" {
		b.Errorf("a start that failed: %+v, %+v", s, s.Exit)
	}
	b.remove(bad)
}

func running(b *bench) {
	ctx := b.Context()
	id, first := b.start("sleep", "1000")
	if first.Status != runtime.Running || first.Pid == 0 || first.StartedAt.IsZero() {
		b.Errorf("got %+v", first)
	}
	again, err := b.Containers.Start(ctx, id)
	b.must(err)
	if again.Pid != first.Pid {
		b.Errorf("Start of what runs has started another: %d, then %d", first.Pid, again.Pid)
	}
	b.is("Delete of what runs", b.Containers.Delete(ctx, id), errdefs.ErrConflict)
	b.is("Replace of what runs", b.Containers.Replace(ctx, *b.state(id).Config), errdefs.ErrConflict)
	for _, stop := range []func(context.Context, string) (process.Exit, error){
		func(ctx context.Context, id string) (process.Exit, error) {
			return b.Containers.Stop(ctx, id, time.Hour)
		},
		func(ctx context.Context, id string) (process.Exit, error) {
			return b.Containers.StopBy(ctx, id, unix.SIGWINCH, time.Hour)
		},
	} {
		b.givenUp(id, stop)
		x, err := b.Containers.Stop(ctx, id, 0)
		b.must(err)
		if x.Code != 137 && x.Code != 143 {
			b.Errorf("stopped with %+v", x)
		}
		_, err = b.Containers.Start(ctx, id)
		b.must(err)
		if b.state(id).Stopping {
			b.Error("the next run is as one that was told to stop")
		}
	}
	b.must(b.Containers.Kill(ctx, id, unix.SIGKILL))
	if x, err := b.Containers.Wait(ctx, id); err != nil || x.Code != 137 || x.Signal != int(unix.SIGKILL) {
		b.Errorf("killed with %+v, %v", x, err)
	}
	b.remove(id)
}

// givenUp tells container id, which runs and does not heed it, to stop, and does not wait for it.
func (b *bench) givenUp(id string, stop func(context.Context, string) (process.Exit, error)) {
	if b.state(id).Stopping {
		b.Error("it is as one that was told to stop")
	}
	ctx, giveUp := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := stop(ctx, id)
		ended <- err
	}()
	for begun := time.Now(); len(ended) == 0 && !b.state(id).Stopping && time.Since(begun) < 20*time.Second; {
		time.Sleep(time.Millisecond)
	}
	giveUp()
	b.is("a Stop that is given up", <-ended, context.Canceled)
	b.reopen()
	if s := b.state(id); s.Status != runtime.Running || !s.Stopping {
		b.Errorf("to the next daemon it is %+v", s)
	}
}

func exec(b *bench) {
	ctx := b.Context()
	id, _ := b.start("sleep", "1000")
	x, err := b.Containers.Exec(ctx, id, runtime.Process{Args: []string{"sh", "-c", "exit 3"}}, process.IO{})
	if err != nil || x.Code != 3 {
		b.Errorf("got %+v, %v", x, err)
	}
	begun := time.Now()
	x, err = b.Containers.Exec(ctx, id, runtime.Process{Args: []string{"sleep", "1000"}, Timeout: 50 * time.Millisecond}, process.IO{})
	if err != nil || x.Code != 137 || time.Since(begun) > 20*time.Second {
		b.Errorf("past its timeout: %+v, %v", x, err)
	}
	_, err = b.Containers.Stop(ctx, id, 0)
	b.must(err)
	_, err = b.Containers.Exec(ctx, id, runtime.Process{Args: []string{"sh", "-c", "exit 3"}}, process.IO{})
	b.is("Exec in what does not run", err, errdefs.ErrConflict)
	_, err = b.Containers.Exec(ctx, nobody, runtime.Process{Args: []string{"sh"}}, process.IO{})
	b.is("Exec in nobody", err, errdefs.ErrNotFound)
	b.remove(id)
}

func pause(b *bench) {
	ctx := b.Context()
	id, first := b.start("sleep", "1000")
	b.must(b.Containers.Pause(ctx, id))
	b.must(b.Containers.Pause(ctx, id))
	b.reopen()
	if s := b.state(id); s.Status != runtime.Paused || s.Pid != first.Pid {
		b.Errorf("paused, the next daemon sees %s with pid %d, not %d", s.Status, s.Pid, first.Pid)
	}
	_, err := b.Containers.Exec(ctx, id, runtime.Process{Args: []string{"sh", "-c", "exit 3"}}, process.IO{})
	b.is("Exec in what is paused", err, errdefs.ErrConflict)
	b.must(b.Containers.Resume(ctx, id))
	b.must(b.Containers.Resume(ctx, id))
	if s := b.state(id); s.Status != runtime.Running {
		b.Errorf("resumed, it is %s", s.Status)
	}
	b.must(b.Containers.Pause(ctx, id))
	b.must(b.Containers.Kill(ctx, id, unix.SIGKILL))
	if x, err := b.Containers.Wait(ctx, id); err != nil || x.Code != 137 {
		b.Errorf("killed while paused: %+v, %v", x, err)
	}
	b.is("Pause of what does not run", b.Containers.Pause(ctx, id), errdefs.ErrConflict)
	b.is("Resume of what does not run", b.Containers.Resume(ctx, id), errdefs.ErrConflict)
	b.is("Pause of nobody", b.Containers.Pause(ctx, nobody), errdefs.ErrNotFound)
	b.remove(id)
}

func outlive(b *bench) {
	ctx := b.Context()
	id, first := b.start("sleep", "1000")
	ended, _ := b.start("sh", "-c", "exit 5")
	_, err := b.Containers.Wait(ctx, ended)
	b.must(err)
	b.reopen()
	list, err := b.Containers.List(ctx)
	b.must(err)
	if len(list) != 2 || list[0].ID != id || list[0].Status != runtime.Running || list[0].Pid != first.Pid || list[1].Status != runtime.Stopped || list[1].Exit == nil || list[1].Exit.Code != 5 {
		b.Errorf("the next daemon sees %+v", list)
	}
	if x, err := b.Containers.Wait(ctx, ended); err != nil || x.Code != 5 {
		b.Errorf("Wait for what had ended before: %+v, %v", x, err)
	}
	b.must(b.Containers.Kill(ctx, id, unix.SIGKILL))
	if x, err := b.Containers.Wait(ctx, id); err != nil || x.Code != 137 {
		b.Errorf("Wait for what an earlier daemon started: %+v, %v", x, err)
	}
	b.remove(id)
	b.remove(ended)
}

func images(b *bench) {
	ctx := b.Context()
	_, err := b.Images.Resolve(ctx, "nobody:1", v1.Platform{})
	b.is("Resolve of nobody", err, errdefs.ErrNotFound)
	info, err := b.Images.Resolve(ctx, b.host.Image(), v1.Platform{})
	b.must(err)
	byID, err := b.Images.Resolve(ctx, info.ID.String(), v1.Platform{})
	if err != nil || byID.ID != info.ID {
		b.Errorf("by id: %+v, %v", byID, err)
	}
	one, err := b.Images.Prepare(ctx, "one", info.ID)
	b.must(err)
	again, err := b.Images.Prepare(ctx, "one", info.ID)
	b.must(err)
	if fmt.Sprint(one) != fmt.Sprint(again) || len(one) == 0 {
		b.Errorf("Prepare gives %v, then %v", one, again)
	}
	view, err := b.Images.View(ctx, "one", info.ID)
	b.must(err)
	viewed, err := b.Images.View(ctx, "one", info.ID)
	b.must(err)
	if fmt.Sprint(view) != fmt.Sprint(viewed) || view.Target != "/" {
		b.Errorf("View gives %v, then %v", view, viewed)
	}
	_, err = b.Images.View(ctx, "nobody", info.ID)
	b.is("View for no snapshot", err, errdefs.ErrNotFound)
	b.is("Delete of an image in use", b.Images.Delete(ctx, b.host.Image()), errdefs.ErrConflict)
	b.is("Delete of nobody", b.Images.Delete(ctx, "nobody:1"), errdefs.ErrNotFound)
	b.reopen()
	keys, err := b.Images.Snapshots(ctx)
	b.must(err)
	if !slices.Equal(keys, []string{"one"}) {
		b.Errorf("snapshots: %v", keys)
	}
	for range 2 {
		b.must(b.Images.Remove(ctx, "one"))
	}
	b.is("Delete of an image of nobody's", b.Images.Delete(ctx, b.host.Image()), nil)
	_, err = b.Images.Resolve(ctx, b.host.Image(), v1.Platform{})
	b.is("Resolve of what was deleted", err, errdefs.ErrNotFound)
}

func networks(b *bench) {
	ctx := b.Context()
	cfg := network.Config{ID: "net", IPv4: true, Driver: "bridge", Labels: map[string]string{"a": "b"}}
	for range 2 {
		s, err := b.Networks.Create(ctx, cfg)
		b.must(err)
		if !s.Healthy || s.Config.ID != "net" || s.Config.Labels["a"] != "b" {
			b.Errorf("got %+v", s)
		}
	}
	port := network.Port{HostPort: 18080, ContainerPort: 80, Protocol: "tcp"}
	b.must(b.Networks.CheckPorts(ctx, "", []network.Port{port}))
	for range 2 {
		held, err := b.Networks.HoldPort(ctx, "shop", port)
		b.must(err)
		if held != port {
			b.Errorf("held is %+v", held)
		}
	}
	b.must(b.Networks.CheckPorts(ctx, "shop", []network.Port{port}))
	b.is("CheckPorts of one that another holds", b.Networks.CheckPorts(ctx, "", []network.Port{port}), errdefs.ErrConflict)
	_, err := b.Networks.HoldPort(ctx, "other", port)
	b.is("HoldPort of one that another holds", err, errdefs.ErrConflict)
	for range 2 {
		b.Networks.ReleasePorts(ctx, "shop")
	}
	b.must(b.Networks.CheckPorts(ctx, "", []network.Port{port}))
	_, err = b.Networks.HoldPort(ctx, "shop", port) // which Setup takes over
	b.must(err)
	id := strings.Repeat("a", 64)
	sandbox := network.SandboxConfig{ContainerID: id, Endpoints: []network.EndpointConfig{{Network: "net", ContainerID: id, ShortID: objectid.Short(id), Names: []string{"web"}}}, Ports: []network.Port{port}, Holder: "shop"}
	box, err := b.Networks.Setup(ctx, sandbox)
	b.must(err)
	again, err := b.Networks.Setup(ctx, sandbox)
	b.must(err)
	if len(box.Endpoints) != 1 || !box.Endpoints[0].Addr4.IsValid() || box.Endpoints[0].Addr4 != again.Endpoints[0].Addr4 || box.Path == "" || box.ResolvConf == "" {
		b.Errorf("Setup gives %+v, then %+v", box, again)
	}
	b.is("CheckPorts of one that is taken", b.Networks.CheckPorts(ctx, "", []network.Port{port}), errdefs.ErrConflict)
	b.is("Delete of a network in use", b.Networks.Delete(ctx, "net"), errdefs.ErrConflict)
	lost := sandbox
	lost.ContainerID = strings.Repeat("b", 64)
	lost.Endpoints = []network.EndpointConfig{{Network: "nobody", ContainerID: lost.ContainerID, ShortID: "b"}}
	lost.Ports = nil
	_, err = b.Networks.Setup(ctx, lost)
	b.is("Setup on a network that is not there", err, errdefs.ErrNotFound)
	b.reopen()
	boxes, err := b.Networks.Sandboxes(ctx)
	b.must(err)
	if len(boxes) != 1 || !boxes[0].Healthy || boxes[0].Endpoints[0].Addr4 != box.Endpoints[0].Addr4 || len(boxes[0].Ports) != 1 || boxes[0].Ports[0].HostPort != 18080 {
		b.Errorf("the next daemon sees %+v", boxes)
	}
	for range 2 {
		b.must(b.Networks.Teardown(ctx, id))
	}
	b.must(b.Networks.CheckPorts(ctx, "", []network.Port{port}))
	for range 2 {
		b.must(b.Networks.Delete(ctx, "net"))
	}
	list, err := b.Networks.List(ctx)
	b.must(err)
	if len(list) != 0 {
		b.Errorf("left %v", list)
	}
}

func volumes(b *bench) {
	ctx := b.Context()
	cfg := volume.Config{ID: "data", Labels: map[string]string{"a": "b"}}
	first, err := b.Volumes.Create(ctx, cfg)
	b.must(err)
	again, err := b.Volumes.Create(ctx, cfg)
	b.must(err)
	if first.Path == "" || first.Path != again.Path {
		b.Errorf("Create gives %+v, then %+v", first, again)
	}
	b.reopen()
	list, err := b.Volumes.List(ctx)
	b.must(err)
	if len(list) != 1 || list[0].Config.ID != "data" || list[0].Config.Labels["a"] != "b" || list[0].Path != first.Path {
		b.Errorf("the next daemon sees %+v", list)
	}
	kept, err := b.Volumes.Snapshot(ctx, "shop", "s", []string{"data"})
	b.must(err)
	if kept.Project != "shop" || kept.Name != "s" || !kept.Has("data") {
		b.Errorf("Snapshot gives %+v", kept)
	}
	_, err = b.Volumes.Snapshot(ctx, "shop", "s", []string{"data"})
	b.is("a second snapshot of a name", err, errdefs.ErrAlreadyExists)
	_, err = b.Volumes.Snapshot(ctx, "shop", "t", []string{"nobody"})
	b.is("a snapshot of a volume that is not there", err, errdefs.ErrNotFound)
	b.is("a restore from a snapshot that is not there", b.Volumes.Restore(ctx, "shop", "t", []string{"data"}), errdefs.ErrNotFound)
	b.must(b.Volumes.Clone(ctx, "data", volume.Config{ID: "copy", Labels: map[string]string{"c": "d"}}))
	b.must(b.Volumes.Delete(ctx, "data"))
	for range 2 {
		b.must(b.Volumes.Restore(ctx, "shop", "s", []string{"data"})) // which makes it again
	}
	b.reopen()
	snapshots, err := b.Volumes.Snapshots(ctx)
	b.must(err)
	list, err = b.Volumes.List(ctx)
	b.must(err)
	if len(snapshots) != 1 || snapshots[0].Name != "s" || len(list) != 2 || list[0].Config.ID != "copy" || list[0].Config.Labels["c"] != "d" || list[1].Config.Labels["a"] != "b" {
		b.Errorf("the next daemon sees snapshots %+v, volumes %+v", snapshots, list)
	}
	b.must(b.Volumes.Delete(ctx, "copy"))
	b.is("Undelete where nothing is kept", b.Volumes.Undelete(ctx, "copy"), errdefs.ErrNotFound)
	for range 2 {
		b.must(b.Volumes.DeleteSnapshot(ctx, "shop", "s"))
	}
	ms, err := b.Volumes.Mounts(ctx, []volume.Use{{Kind: volume.Tmpfs, Target: "/t"}, {Kind: volume.Volume, Source: "data", Target: "/d"}, {Kind: volume.File, Target: "/c", Content: []byte("x"), Mode: 0o444}})
	b.must(err)
	var targets []string
	for _, m := range ms {
		targets = append(targets, m.Target)
	}
	if !slices.Equal(targets, []string{"/c", "/d", "/t"}) {
		b.Errorf("mounts are ordered by target, and here: %v", targets)
	}
	_, err = b.Volumes.Mounts(ctx, []volume.Use{{Kind: volume.Volume, Source: "nobody", Target: "/d"}})
	b.is("a volume that is not there", err, errdefs.ErrNotFound)
	for range 2 {
		b.must(b.Volumes.Delete(ctx, "data"))
	}
	if list, err = b.Volumes.List(ctx); err != nil || len(list) != 0 {
		b.Errorf("left %v, %v", list, err)
	}
}
