package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/build"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/internal/reference"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/runtime"
)

// CommitOne makes an image of what container c has written on its own, and tells s of it. c is paused meanwhile, unless o says otherwise or it is already.
func (k *Keeper) CommitOne(ctx context.Context, c *inventory.Container, o ask.CommitOptions, s event.Sink) (image.Info, error) {
	if o.Ref != "" {
		if r, err := reference.Parse(o.Ref); err != nil {
			return image.Info{}, err
		} else if r.HasDigest() {
			return image.Info{}, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot name an image %s: a digest is not given, it is found out; leave it out", o.Ref))
		}
	}
	ev := event.Event{Project: c.Project, Kind: "container", Name: c.Name, ID: c.ID, Service: c.Service}
	say := func(phase event.Phase, text, detail string) {
		ev := ev
		ev.Phase, ev.Text, ev.Detail = phase, text, detail
		k.hub.Say(s, ev)
	}
	say(event.Working, "Committing", "")
	info, err := k.commit(ctx, c, o)
	if err != nil {
		say(event.Failed, "Not committed", "")
		return info, fmt.Errorf("cannot commit container %s: %w", c.Name, wording.Cause(err, c.ID, c.Name))
	}
	say(event.Done, "Committed", info.ID.String())
	return info, nil
}

func (k *Keeper) commit(ctx context.Context, c *inventory.Container, o ask.CommitOptions) (image.Info, error) {
	if c.Status == runtime.Running && !o.NoPause {
		// A stop or a restart of it does not meet it paused.
		release, err := k.Locks.Lock(ctx, c.ID)
		if err != nil {
			return image.Info{}, err
		}
		defer release()
		state, err := k.drivers.Containers.State(ctx, c.ID)
		if err != nil {
			return image.Info{}, err
		}
		if state.Status == runtime.Running {
			resume, err := k.PauseBriefly(ctx, c.ID)
			if err != nil {
				return image.Info{}, err
			}
			defer resume()
		}
	}
	var refs []string
	if o.Ref != "" {
		refs = append(refs, o.Ref)
	}
	author := image.Author{Name: o.Author, Comment: o.Comment, By: strings.Join(c.Spec.Command, " ")}
	spec := c.Spec
	if c.Alone != nil {
		spec.Labels = c.Alone.Labels
	}
	return k.drivers.Images.CommitSnapshot(ctx, c.ID, func(conf *v1.Config) error {
		bundle.Committed(conf, &spec)
		return build.Change(conf, o.Changes)
	}, author, refs...)
}

// bucketPaused holds the ids of containers that are paused for a moment, and by nobody's wish: a daemon that dies meanwhile leaves it to the next one to let them go on.
const bucketPaused = "paused"

// PauseBriefly pauses a container until resume is called. Precondition: its lock is held.
func (k *Keeper) PauseBriefly(ctx context.Context, id string) (resume func(), err error) {
	if err := k.store.Put(bucketPaused, id, []byte("{}")); err != nil {
		return nil, err
	}
	if err := k.drivers.Containers.Pause(ctx, id); err != nil {
		return nil, errors.Join(err, k.store.Delete(bucketPaused, id))
	}
	ctx = context.WithoutCancel(ctx)
	return func() {
		if err := k.goOn(ctx, id); err != nil {
			k.log.Error("a container that was paused for a moment cannot be let go on; `stack unpause` does, or the next daemon", "container", objectid.Short(id), "error", err)
		}
	}, nil
}

// goOn lets a container go on that PauseBriefly has paused. One that has ended is none.
func (k *Keeper) goOn(ctx context.Context, id string) error {
	err := k.drivers.Containers.Resume(ctx, id)
	if err != nil && !errors.Is(err, errdefs.ErrNotFound) && !errors.Is(err, errdefs.ErrConflict) {
		return err
	}
	return k.store.Delete(bucketPaused, id)
}

// ResumePaused lets those go on that a daemon which was killed has left paused.
func (k *Keeper) ResumePaused(ctx context.Context) error {
	var ids []string
	err := k.store.Each(bucketPaused, func(id string, _ []byte) error {
		ids = append(ids, id)
		return nil
	})
	for _, id := range ids {
		if failed := k.goOn(ctx, id); failed != nil {
			k.log.Warn("a container that was paused for a moment cannot be let go on; `stack unpause` does", "container", objectid.Short(id), "error", failed)
		}
	}
	return err
}
