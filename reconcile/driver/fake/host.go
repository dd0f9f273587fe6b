// Package fake is a host in memory: drivers that keep the contracts of package driver without a kernel. Tests of the loop
// run on it, in fake time when inside testing/synctest; the contract tests of package contract run on it and on the real
// drivers alike.
package fake

import (
	"context"

	"fmt"
	"net/netip"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/build"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/watch"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/volume"
)

// Host is everything that outlives a daemon. Several Sets, one after the other, may be made on it.
type Host struct {
	// Program says what a container does when it starts. nil = it runs until it is stopped.
	Program func(c runtime.Config) Program
	// StartTakes says how long a start takes; meanwhile the container is as one that was made and not started yet. nil = no time.
	StartTakes func(c runtime.Config) time.Duration
	// ExecResult says how an exec ends, after how long, with which output. nil = at once, 0.
	ExecResult func(c runtime.Config, p runtime.Process) (code int, after time.Duration, output string)
	// Registry holds the images that can be pulled, by reference.
	Registry map[string]image.Info
	// Builds says what a build comes to, by the first of its names: an error, or nil. Of an image without an entry it is what its request says
	// and what Sources has for its context: equal ones give one image.
	Builds map[string]func(r build.Request, progress func(build.Progress)) error
	// Fetches is what a build would have to fetch, by the first of its names.
	Fetches map[string][]*build.Error
	// Sources is what is in a context, by its directory: what changes it makes another image.
	Sources map[string]string
	// Taken are host ports of somebody else, "8080/tcp" → owner.
	Taken map[string]string
	// Fault is asked before and after each operation ("Containers.Start"); an error is returned in its place. Before: nothing
	// is done. After: it is done, and the caller does not learn.
	Fault func(op string, after bool) error
	// Listed is called after each look at the list of the containers, before who looks has the answer; its error is that.
	Listed func() error
	Cut    *Cut // nil = none

	mu         sync.Mutex
	images     map[string]image.Info
	snapshots  map[string]v1.Hash
	views      map[string][]v1.Hash // by snapshot
	networks   map[string]network.State
	sandboxes  map[string]network.Sandbox
	volumes    map[string]volume.State
	containers map[string]*container
	subs       map[chan runtime.Event]bool
	hints      struct{ networks, volumes, containers watch.Hub }
	nextAddr   byte
	addresses  map[string][]netip.Addr // that are kept, by holder
	kept       map[string]kept         // snapshots of volumes, by project/name
	Content    map[string]string       // of volumes, by name: what a test has put in them
	nextPort   uint16
	holds      map[string]map[string]bool // port/protocol, by holder
	nextPid    int
	reads      int
	ops        []string
	garbage    map[string][]string // by room
}

// Program is the life of a container's process.
type Program struct {
	StartError error
	Warnings   []string      // of its start
	For        time.Duration // then it exits with Code; 0 = it runs until it is stopped
	Code       int
	Killed     bool // by other hands, not with Code
	OOM        bool
	IgnoreTerm bool // only a kill ends it
}

type container struct {
	cfg      *runtime.Config
	status   runtime.Status
	pid      int
	started  time.Time
	exit     *process.Exit
	program  Program
	problem  string        // what is not as recorded
	paused   bool          // while it runs
	stopping bool          // Stop has sent it its signal, in this run
	lasting  bool          // Mend cannot help, a restart does
	logging  string        // why its output is not logged
	ended    chan struct{} // of the current run
	timer    *time.Timer
	files    map[string][]byte // streams of CopyIn, by path
}

// New is an empty host.
func New() *Host {
	return &Host{
		Registry: map[string]image.Info{}, Builds: map[string]func(build.Request, func(build.Progress)) error{}, Sources: map[string]string{}, Taken: map[string]string{},
		images: map[string]image.Info{}, snapshots: map[string]v1.Hash{}, views: map[string][]v1.Hash{}, networks: map[string]network.State{}, sandboxes: map[string]network.Sandbox{},
		volumes: map[string]volume.State{}, containers: map[string]*container{}, subs: map[chan runtime.Event]bool{}, nextPort: 32768,
	}
}

// Set is the drivers of a daemon on h.
func (h *Host) Set() driver.Set {
	return driver.Set{Images: (*images)(h), Networks: (*networks)(h), Volumes: (*volumes)(h), Containers: (*containers)(h), Builder: (*builder)(h)}
}

// Ops are the changing operations so far, in order.
func (h *Host) Ops() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.ops...)
}

// do is every operation: fault, work, fault. h.mu is held during work only.
func (h *Host) do(ctx context.Context, op string, work func() error) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := h.fault(op, false); err != nil {
		return err
	}
	if err := h.locked(op, work); err != nil {
		return err
	}
	return h.fault(op, true)
}

func (h *Host) locked(op string, work func() error) error {
	h.mu.Lock()
	defer h.mu.Unlock() // also when work panics: who tidies up would wait for ever
	h.ops = append(h.ops, op)
	return work()
}

func (h *Host) fault(op string, after bool) error {
	if err := h.Cut.hit(); err != nil {
		return err
	}
	if h.Fault != nil {
		return h.Fault(op, after)
	}
	return nil
}

// Left names everything that is on the host but images: empty after a down with volumes.
func (h *Host) Left() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var left []string
	for k := range h.containers {
		left = append(left, "container "+k)
	}
	for k := range h.snapshots {
		left = append(left, "snapshot "+k)
	}
	for k := range h.sandboxes {
		left = append(left, "sandbox "+k)
	}
	for k := range h.networks {
		left = append(left, "network "+k)
	}
	for k := range h.volumes {
		left = append(left, "volume "+k)
	}
	return left
}

// AddImage puts an image on the host.
func (h *Host) AddImage(ref string, cfg v1.Config) image.Info {
	info := Image(ref, cfg)
	h.mu.Lock()
	defer h.mu.Unlock()
	info.PulledAt = time.Now()
	h.images[ref] = info
	return info
}

// Image makes an image whose id depends on ref and cfg.
func Image(ref string, cfg v1.Config) image.Info {
	id := hash(fmt.Sprintf("%s %v", ref, cfg))
	return image.Info{ID: id, Digest: hash("manifest " + id.String()), Refs: []string{ref}, Platform: v1.Platform{OS: "linux", Architecture: "amd64"}, Config: cfg}
}

func notFound(format string, args ...any) error {
	return errdefs.With(errdefs.ErrNotFound, fmt.Errorf(format, args...))
}

func conflict(format string, args ...any) error {
	return errdefs.With(errdefs.ErrConflict, fmt.Errorf(format, args...))
}
