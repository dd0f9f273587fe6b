package buildkit

import (
	"context"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/stackrun/stack/api/docker/buildkit/session"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/reference"
	"github.com/stackrun/stack/reconcile"
)

// build makes d, and of it what target says. What it returns is what the exporter tells.
func (c *caller) build(ctx context.Context, b *solve, d *dockerfile, target export) (map[string]string, error) {
	for _, text := range d.warnings {
		b.progress.warn(text)
	}
	s, err := c.sessionOf(ctx, b)
	if err != nil {
		return nil, err
	}
	contexts := maps.Clone(d.contexts)
	for name, what := range d.contexts { // before this build takes a place in the engine, where that one needs one too
		if !strings.HasPrefix(what, linkPrefix) {
			continue
		}
		id, err := c.linked(ctx, what)
		if err != nil {
			return nil, fmt.Errorf("context %s: %w", name, err)
		}
		contexts[name] = "docker-image://" + id
	}
	r := d.build
	r.Tags, r.StepsOnly = target.names, !target.image
	r.Fetch = func(ctx context.Context, dir string) (reconcile.BuildSources, error) {
		f := &fetcher{caller: c, session: s, progress: b.progress, d: d, contexts: contexts, dir: dir}
		return f.fetch(ctx)
	}
	r.FindSecret = func(id string) (*reconcile.BuildSecret, error) {
		value, ok, err := s.Secret(ctx, id)
		if err != nil || !ok {
			return nil, err
		}
		return &reconcile.BuildSecret{ID: id, Value: value}, nil
	}
	r.FindAgent = func(id string) (*reconcile.BuildAgent, error) {
		if ok, err := s.Agent(ctx, id); err != nil || !ok {
			return nil, err
		}
		return &reconcile.BuildAgent{ID: id, Dial: func(ctx context.Context) (io.ReadWriteCloser, error) { return s.TalkToAgent(ctx, id) }}, nil
	}
	r.FindAuth = func(host string) (*image.Auth, error) { return credentials(ctx, s, host) }
	say := &steps{progress: b.progress}
	info, err := c.engine.BuildImage(ctx, r, say.tell)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		say.failed(err)
		return nil, err
	}
	if !target.image {
		return nil, nil
	}
	var names []string
	_ = b.progress.step("export", "exporting to image", func() error { // it is done: this tells of it
		for _, name := range target.names {
			if p, err := reference.Parse(name); err == nil {
				name = p.Familiar()
			}
			names = append(names, name)
			b.progress.log("export", []byte("naming to "+name+"\n"))
		}
		b.progress.log("export", []byte("image "+info.ID.String()+"\n"))
		return nil
	})
	out := map[string]string{"containerimage.digest": info.ID.String(), "containerimage.config.digest": info.ID.String()}
	if len(target.names) > 0 {
		out["image.name"] = strings.Join(target.names, ",")
	}
	return out, nil
}

// credentials are the client's of a registry; nil = what this host has.
func credentials(ctx context.Context, s *session.Session, host string) (*image.Auth, error) {
	if host == "docker.io" || host == "index.docker.io" {
		host = "registry-1.docker.io" // by which BuildKit asks, and clients know what is meant
	}
	user, secret, err := s.Credentials(ctx, host)
	if err != nil || user == "" && secret == "" {
		return nil, err
	}
	if user == "" { // "If username is empty string, then secret is identity token"
		return &image.Auth{IdentityToken: secret}, nil
	}
	return &image.Auth{Username: user, Password: secret}, nil
}

// steps tells of a build's steps as vertexes. Its methods are called by one goroutine at a time.
type steps struct {
	progress *progress
	fault    []step // that have failed
}

type step struct{ key, name string }

func vertexOf(p reconcile.BuildProgress) step {
	if p.Steps == 0 {
		return step{"other " + p.Text, p.Text}
	}
	stage := p.Stage
	if stage != "" {
		stage += " "
	}
	return step{fmt.Sprintf("step %s %d", p.Stage, p.Step), fmt.Sprintf("[%s%d/%d] %s", stage, p.Step, p.Steps, p.Text)}
}

func (s *steps) tell(p reconcile.BuildProgress) {
	v := vertexOf(p)
	switch p.Phase {
	case reconcile.BuildStarted:
		s.progress.begin(v.key, v.name)
	case reconcile.BuildOutput:
		s.progress.begin(v.key, v.name)
		s.progress.log(v.key, p.Output)
	case reconcile.BuildCached:
		s.progress.end(v.key, v.name, true, nil)
	case reconcile.BuildDone:
		s.progress.end(v.key, v.name, false, nil)
	case reconcile.BuildFailed:
		s.fault = append(s.fault, v)
	case reconcile.BuildWarning:
		s.progress.warn(p.Text)
	}
}

// failed says of the step that has failed first why. Others were given up for it.
func (s *steps) failed(err error) {
	if len(s.fault) == 0 {
		return
	}
	s.progress.end(s.fault[0].key, s.fault[0].name, false, err)
}
