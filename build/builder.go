package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/background"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/keylock"
	"github.com/stackrun/stack/internal/roots"
)

// Options of a Builder.
type Options struct {
	Roots      roots.Roots
	Images     Images
	Containers Containers
	Networks   Networks

	// Offline has every build be one that fetches nothing, as Request.Offline.
	Offline bool

	// Notice tells, once, what somebody should know and what is no error. nil = nobody.
	Notice func(text string)
}

// Builder makes images. Its methods may be called from many goroutines; there must be one for a pair of roots. Below <state>/build it has
//
//	steps/<key>      what the step of that key has made (see steps.go)
//	contexts/<hash>  the sums of a context's files (see hashes.go)
//	mounts/<hash>    directories of RUN --mount=type=cache
//	tmp/             what is being fetched and unpacked
//
// all of which may be removed while no build is under way: then the work is done again.
type Builder struct {
	opt   Options
	dir   string
	steps stepCache

	busy   keylock.Locks    // steps, and directories of caches
	behind background.Group // what is done behind the builds

	// running is held for reading by each build, for writing while steps are forgotten and layers let go that no step has made.
	running sync.RWMutex

	lanes lanes

	privateMu sync.Mutex
	inUse     map[string]bool // guarded by privateMu
}

// New makes a Builder and removes what builds left that were cut off.
func New(ctx context.Context, o Options) (*Builder, error) {
	b := &Builder{opt: o, dir: o.Roots.InState("build"), inUse: map[string]bool{}}
	b.steps.dir = filepath.Join(b.dir, "steps")
	b.lanes.networks, b.lanes.notice = o.Networks, b.notice
	if _, err := b.sweep(ctx, true); err != nil {
		return nil, fmt.Errorf("cannot remove what a build has left: %w", err)
	}
	return b, nil
}

// Close ends what the builds have left to be done behind them, or ctx ends. The Builder is not used afterwards.
func (b *Builder) Close(ctx context.Context) error {
	return errors.Join(b.lanes.clear(ctx), b.behind.Wait(ctx))
}

func (b *Builder) notice(text string) {
	if b.opt.Notice != nil {
		b.opt.Notice(text)
	}
}

// Build makes the image that r describes and gives it its names. progress, which may be nil, is called by one goroutine at a time. An error
// with a place in the Dockerfile is an *Error; errdefs.ErrInvalidArgument and ErrNotSupported without a Progress of phase Started mean that nothing has run.
// When ctx ends, so does the build, and nothing of it is left but the steps that it has come through, for the next one.
func (b *Builder) Build(ctx context.Context, r Request, progress func(Progress)) (image.Info, error) {
	r.Offline = r.Offline || b.opt.Offline
	if r.NoCache {
		r.CacheFrom = nil
	}
	if r.Context != "" {
		if info, err := os.Stat(r.Context); err != nil || !info.IsDir() {
			if err == nil {
				err = errors.New("it is not a directory")
			}
			return image.Info{}, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot use the build context %s: %w", r.Context, err))
		}
	}
	switch r.Network {
	case "", "default", "none", "host":
	default:
		return image.Info{}, errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("cannot build in network %q: expected default, none or host", r.Network))
	}
	j, err := newJob(b, &r, new(imports), progress)
	if err != nil {
		return image.Info{}, err
	}
	if err := os.MkdirAll(b.steps.dir, 0o700); err != nil {
		return image.Info{}, fmt.Errorf("cannot build: %w", err)
	}
	b.running.RLock()
	defer b.end(ctx)
	b.lanes.enter()
	defer b.lanes.leave()
	for {
		info, err := j.run(ctx)
		var lost *lostError
		if !errors.As(err, &lost) {
			return info, err
		}
		// What was done until now is found again.
		if j, err = newJob(b, &r, j.imports, progress); err != nil {
			return image.Info{}, err
		}
	}
}

// end brings the layers to the disk and, behind the last build, the cache into its bounds.
func (b *Builder) end(ctx context.Context) {
	b.opt.Images.Sync()
	b.running.RUnlock()
	ctx = context.WithoutCancel(ctx)
	b.behind.Go(func() {
		if !b.running.TryLock() {
			return // the end of the build that is under way does it
		}
		defer b.running.Unlock()
		if err := b.prune(ctx); err != nil {
			b.notice("the cache of builds could not be brought into its bounds: " + err.Error())
		}
	})
}

// ContextDir makes an empty directory for the sources of one build, that is for the caller to remove; what a crash leaves of it goes with the next Builder, or a Sweep.
func (b *Builder) ContextDir() (string, error) { return b.tempDir() }

// tempDir is a directory of its own for what is fetched or unpacked.
func (b *Builder) tempDir() (string, error) {
	if err := os.MkdirAll(b.temp(), 0o700); err != nil {
		return "", err
	}
	return os.MkdirTemp(b.temp(), "")
}

func (b *Builder) temp() string { return filepath.Join(b.dir, "tmp") }

// Sweep names what is left of builds that were cut off, and with remove it removes them: a sentence's worth each. Layers that no step
// has made are let go. Precondition: no build is under way.
func (b *Builder) Sweep(ctx context.Context, remove bool) ([]string, error) {
	found, err := b.sweep(ctx, remove)
	unmade, uerr := b.unmade(ctx)
	for _, d := range unmade {
		found = append(found, fmt.Sprintf("layer %.12s, which no step of the cache has made", d.Hex))
	}
	if remove && len(unmade) > 0 {
		uerr = errors.Join(uerr, b.opt.Images.Release(ctx, unmade...))
	}
	return found, errors.Join(err, uerr)
}

// sweep is Sweep without the layers, of which the end of the next build takes care: a daemon that begins does not wait for that.
func (b *Builder) sweep(ctx context.Context, remove bool) ([]string, error) {
	if err := b.behind.Wait(ctx); err != nil { // what builds that have ended take down
		return nil, err
	}
	var found []string
	errs := []error{b.lanes.clear(ctx)} // kept on purpose: nothing that was left
	note := func(what string, fn func() error) {
		found = append(found, what)
		if remove {
			if err := fn(); err != nil {
				errs = append(errs, fmt.Errorf("cannot remove %s: %w", what, err))
			}
		}
	}
	list, err := b.opt.Containers.List(ctx)
	errs = append(errs, err)
	for _, c := range list {
		if c.Config == nil || c.Config.Facts[factBuild] == "" {
			continue
		}
		note("container "+c.ID+" of a build", func() error {
			if _, err := b.opt.Containers.Stop(ctx, c.ID, 0); err != nil {
				return err
			}
			return b.opt.Containers.Delete(ctx, c.ID)
		})
	}
	boxes, err := b.opt.Networks.Sandboxes(ctx)
	errs = append(errs, err)
	for _, box := range boxes {
		if ofBuild(box.ContainerID) {
			note("network namespace "+box.ContainerID, func() error { return b.opt.Networks.Teardown(ctx, box.ContainerID) })
		}
	}
	nets, err := b.opt.Networks.List(ctx)
	errs = append(errs, err)
	for _, n := range nets {
		if n.Config.ID == bridge {
			note("the network of builds", func() error { return b.opt.Networks.Delete(ctx, bridge) })
		}
	}
	keys, err := b.opt.Images.Snapshots(ctx)
	errs = append(errs, err)
	for _, key := range keys {
		if ofBuild(key) {
			note("snapshot "+key, func() error { return b.opt.Images.Remove(ctx, key) })
		}
	}
	tmp, err := os.ReadDir(b.temp())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, err)
	}
	for _, e := range tmp {
		path := filepath.Join(b.temp(), e.Name())
		note("unfinished "+path, func() error { return os.RemoveAll(path) })
	}
	return found, errors.Join(errs...)
}
