package reconcile

import (
	"context"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/build"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/runtime"
)

// Commit makes an image of what a container of a service has written on its own, and names it if o says so. The container is paused meanwhile, unless o says
// otherwise or it is already.
func (e *Engine) Commit(ctx context.Context, project string, o CommitOptions, s Sink) (image.Info, error) {
	defer e.enter()()
	all, err := e.copied(ctx, project, o.Service, o.Index, true)
	if err != nil {
		return image.Info{}, err
	}
	return e.commitOne(ctx, all[0], o, s)
}

func (e *Engine) commitOne(ctx context.Context, c *container, o CommitOptions, s Sink) (image.Info, error) {
	if o.Ref != "" {
		if r, err := image.ParseReference(o.Ref); err != nil {
			return image.Info{}, err
		} else if r.HasDigest() {
			return image.Info{}, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot name an image %s: a digest is not given, it is found out; leave it out", o.Ref))
		}
	}
	ev := Event{Project: c.project, Kind: "container", Name: c.name, ID: c.ID, Service: c.service}
	say := func(phase Phase, text, detail string) {
		ev := ev
		ev.Phase, ev.Text, ev.Detail = phase, text, detail
		e.say(s, ev)
	}
	say(Working, "Committing", "")
	info, err := e.commit(ctx, c, o)
	if err != nil {
		say(Failed, "Not committed", "")
		return info, fmt.Errorf("cannot commit container %s: %w", c.name, cause(err, c.ID, c.name))
	}
	say(Done, "Committed", info.ID.String())
	return info, nil
}

func (e *Engine) commit(ctx context.Context, c *container, o CommitOptions) (image.Info, error) {
	if c.Status == runtime.Running && !o.NoPause {
		// A stop or a restart of it does not meet it paused.
		release, err := e.single.lock(ctx, c.ID)
		if err != nil {
			return image.Info{}, err
		}
		defer release()
		state, err := e.drivers.Containers.State(ctx, c.ID)
		if err != nil {
			return image.Info{}, err
		}
		if state.Status == runtime.Running {
			if err := e.drivers.Containers.Pause(ctx, c.ID); err != nil {
				return image.Info{}, err
			}
			defer e.drivers.Containers.Resume(context.WithoutCancel(ctx), c.ID) //nolint:errcheck // it has ended: there is nothing to let go on
		}
	}
	var refs []string
	if o.Ref != "" {
		refs = append(refs, o.Ref)
	}
	author := image.Author{Name: o.Author, Comment: o.Comment, By: strings.Join(c.spec.Command, " ")}
	spec := c.spec
	if c.alone != nil {
		spec.Labels = c.alone.Labels
	}
	return e.drivers.Images.CommitSnapshot(ctx, c.ID, func(conf *v1.Config) error {
		bundle.Committed(conf, &spec)
		return build.Change(conf, o.Changes)
	}, author, refs...)
}
