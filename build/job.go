package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/stackrun/stack/build/rootfs"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/internal/errdefs"
)

// job is one Build.
type job struct {
	b       *Builder
	r       *Request
	l       *layout
	imports *imports
	epoch   time.Time // SOURCE_DATE_EPOCH; zero = there is none
	began   time.Time
	slots   chan struct{} // bounds the steps that are carried out at once

	say   func(Progress)
	sayMu sync.Mutex

	planMu sync.Mutex // guards l: an ONBUILD may need a stage that nothing else does
	work   sync.WaitGroup

	mu       sync.Mutex
	contexts map[string]*tree           // by directory; guarded by mu
	bases    map[string]*flight[*state] // by reference; guarded by mu
	steps    map[string]stepRecord      // what was made, or found, by key; guarded by mu
}

// flight is a result that several wait for and one works out.
type flight[T any] struct {
	once  sync.Once
	value T
	err   error
}

// newJob reads the Dockerfile of r. im are the caches that an attempt before it has read.
func newJob(b *Builder, r *Request, im *imports, progress func(Progress)) (*job, error) {
	file, err := open(r)
	if err != nil {
		return nil, err
	}
	l, err := lay(r, file)
	if err != nil {
		return nil, err
	}
	j := &job{
		b: b, r: r, l: l, imports: im, say: progress, began: time.Now().UTC().Truncate(time.Second),
		slots:    make(chan struct{}, max(2, goruntime.GOMAXPROCS(0))),
		contexts: map[string]*tree{}, bases: map[string]*flight[*state]{}, steps: map[string]stepRecord{},
	}
	if s := r.Args["SOURCE_DATE_EPOCH"]; s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 {
			return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("build argument SOURCE_DATE_EPOCH is %q: expected seconds since 1970", s))
		}
		j.epoch = time.Unix(n, 0).UTC()
	}
	return j, nil
}

// tell reports, one at a time.
func (j *job) tell(p Progress) {
	if j.say == nil {
		return
	}
	j.sayMu.Lock()
	defer j.sayMu.Unlock()
	j.say(p)
}

func (j *job) note(text string) { j.tell(Progress{Phase: Warning, Text: text}) }

// run carries out the stages and records the image.
func (j *job) run(ctx context.Context) (image.Info, error) {
	for _, text := range j.l.notes {
		j.note(text)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	j.start(ctx, cancel)
	j.work.Wait()
	j.closeContexts()
	if cause := context.Cause(ctx); cause != nil {
		return image.Info{}, cause
	}
	info, err := j.record(ctx, j.l.target.result)
	if err != nil {
		return info, err
	}
	return info, j.export(ctx, j.l.target.result.layers())
}

// start begins with the stages that are needed and not under way.
func (j *job) start(ctx context.Context, cancel context.CancelCauseFunc) {
	j.planMu.Lock()
	defer j.planMu.Unlock()
	j.startLocked(ctx, cancel)
}

func (j *job) startLocked(ctx context.Context, cancel context.CancelCauseFunc) {
	for _, s := range j.l.all {
		if s.done == nil || s.started {
			continue
		}
		s.started = true
		j.work.Go(func() {
			s.result, s.err = j.stage(ctx, cancel, s)
			if s.err != nil {
				cancel(s.err)
			}
			close(s.done)
		})
	}
}

// record makes the image of s, or finds the one that is the same.
func (j *job) record(ctx context.Context, s *state) (image.Info, error) {
	for _, k := range slices.Sorted(maps.Keys(j.r.Labels)) {
		s.label(instructions.KeyValuePairs{{Key: k, Value: j.r.Labels[k]}})
	}
	when := j.epoch
	if when.IsZero() {
		// An image that is the same in all but the time of its making is the same.
		k := newKey("image")
		raw, err := json.Marshal(s.conf)
		if err != nil {
			return image.Info{}, err
		}
		k.add(string(raw))
		id := k.String()
		step, ok := j.known(ctx, id)
		if !ok || step.Created.IsZero() {
			step = stepRecord{Created: j.began}
			if err := j.keep(id, step); err != nil {
				return image.Info{}, err
			}
		}
		when = step.Created
	}
	raw, err := j.configuration(s.finish(when))
	if err != nil {
		return image.Info{}, err
	}
	id := content.Digest(raw)
	if j.r.StepsOnly {
		return image.Info{ID: id}, nil
	}
	info, err := j.b.opt.Images.Tag(ctx, id, j.r.Tags...)
	if errors.Is(err, errdefs.ErrNotFound) {
		if err := j.bring(ctx, s.layers()); err != nil {
			return image.Info{}, err
		}
		info, err = j.b.opt.Images.RecordRaw(ctx, raw, j.r.Tags...)
	}
	return info, err
}

// wait returns what stage s has become.
func (j *job) wait(ctx context.Context, s *stage) (*state, error) {
	select {
	case <-s.done:
		if s.err != nil {
			return nil, s.err
		}
		return s.result, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// slot waits for a turn to work; the returned function gives it back.
func (j *job) slot(ctx context.Context) (func(), error) {
	select {
	case j.slots <- struct{}{}:
		return func() { <-j.slots }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// base is the state of an image, which is pulled if need be.
func (j *job) base(ctx context.Context, ref string) (*state, error) {
	j.mu.Lock()
	f := j.bases[ref]
	if f == nil {
		f = new(flight[*state])
		j.bases[ref] = f
	}
	j.mu.Unlock()
	f.once.Do(func() { f.value, f.err = j.findBase(ctx, ref) })
	return f.value, f.err
}

func (j *job) findBase(ctx context.Context, ref string) (*state, error) {
	images := j.b.opt.Images
	info, err := images.Resolve(ctx, ref, v1.Platform{})
	if j.r.Offline && errors.Is(err, errdefs.ErrNotFound) {
		return nil, &OfflineError{What: ref}
	}
	if j.r.Pull && !j.r.Offline || errors.Is(err, errdefs.ErrNotFound) {
		began := time.Now()
		j.tell(Progress{Phase: Started, Text: "pull " + ref})
		var pulled image.Info
		auth, perr := j.r.auth(ref)
		if perr == nil {
			pulled, perr = images.PullAs(ctx, ref, v1.Platform{}, auth, func(p image.Progress) {
				if p.Note != "" {
					j.note(p.Note)
				}
			})
		}
		if perr != nil {
			j.tell(Progress{Phase: Failed, Text: "pull " + ref, Took: time.Since(began)})
			return nil, perr
		}
		j.tell(Progress{Phase: Done, Text: "pull " + ref, Took: time.Since(began)})
		info, err = pulled, nil
	}
	if err != nil {
		return nil, err
	}
	conf, err := images.ConfigFile(ctx, info.ID)
	if err != nil {
		return nil, err
	}
	return from(conf), nil
}

// context opens the context in directory dir, once for the job.
func (j *job) context(dir string) (*tree, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if t := j.contexts[dir]; t != nil {
		return t, nil
	}
	t := &tree{name: "the context", context: true}
	dockerfile := j.r.Dockerfile
	if dir != j.r.Context {
		t.name, dockerfile = "context "+dir, ""
	}
	var err error
	if t.ignore, err = readIgnore(dir, dockerfile); err != nil {
		return nil, err
	}
	if t.root, err = rootfs.Open(dir); err != nil {
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot read %s: %w", t.name, err))
	}
	if !strings.HasPrefix(dir, j.b.temp()+"/") { // what was sent for this build is nowhere again
		t.hashes = openHashes(filepath.Join(j.b.dir, "contexts"), dir)
	}
	j.contexts[dir] = t
	return t, nil
}

func (j *job) closeContexts() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, t := range j.contexts {
		t.close()
		if t.hashes != nil {
			_ = t.hashes.save() // what is not saved is hashed again
		}
	}
}

// keyPrefix begins the keys of snapshots and of network namespaces of builds.
const keyPrefix = "build-"

func ofBuild(key string) bool { return strings.HasPrefix(key, keyPrefix) }
