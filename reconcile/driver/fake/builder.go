package fake

import (
	"context"
	"fmt"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/build"
	"github.com/stackrun/stack/image"
)

type builder Host

func (b *builder) host() *Host { return (*Host)(b) }

func (b *builder) Build(ctx context.Context, r build.Request, progress func(build.Progress)) (info image.Info, err error) {
	if progress == nil {
		progress = func(build.Progress) {}
	}
	if do := b.Builds[r.Tags[0]]; do != nil {
		if err := do(r, progress); err != nil {
			return info, err
		}
		if err := ctx.Err(); err != nil {
			return info, context.Cause(ctx)
		}
	}
	err = b.host().do(ctx, "Builder.Build", func() error {
		info = image.Info{
			ID:       hash(fmt.Sprintf("%s %s %s %s %v %v", r.Context, b.Sources[r.Context], r.Inline, r.Target, r.Args, r.Contexts)),
			Platform: v1.Platform{OS: "linux", Architecture: "amd64"}, PulledAt: time.Now(),
			Config: v1.Config{Cmd: []string{"run"}, Labels: r.Labels}, Refs: r.Tags,
		}
		for _, tag := range r.Tags {
			b.images[tag] = info
		}
		return nil
	})
	return info, err
}

func (b *builder) Lacks(_ context.Context, r build.Request, _ func(string) bool) ([]*build.Error, error) {
	return b.host().Fetches[r.Tags[0]], nil
}

// ContextDir is a directory of the machine itself: this host has none.
func (b *builder) ContextDir() (string, error) { return os.MkdirTemp("", "stack-fake-sources") }

func (b *builder) Clear(context.Context) (int64, error) { return 0, nil }

func (b *builder) Sweep(_ context.Context, remove bool) ([]string, error) {
	return b.host().sweep("builds", remove)
}
