package contract

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/build"
	"github.com/stackrun/stack/internal/errdefs"
)

func builds(b *bench) {
	ctx := b.Context()
	request := func(word string) build.Request {
		return build.Request{
			Inline: "FROM " + b.host.Image() + "\nARG WORD\nENV WORD=$WORD\nRUN [\"/bin/busybox\", \"true\"]\n", Args: map[string]string{"WORD": word},
			Labels: map[string]string{"of": word}, Tags: []string{"made:" + word, "more:1"},
		}
	}
	made, err := b.Builder.Build(ctx, request("a"), nil)
	b.must(err)
	for _, name := range []string{"made:a", "more:1", made.ID.String()} {
		found, err := b.Images.Resolve(ctx, name, v1.Platform{})
		if err != nil || found.ID != made.ID || found.Config.Labels["of"] != "a" {
			b.Errorf("Resolve of %s: %+v, %v", name, found, err)
		}
	}
	steps := 0
	again, err := b.Builder.Build(ctx, request("a"), func(build.Progress) { steps++ })
	if err != nil || again.ID != made.ID {
		b.Errorf("the same again gives %v and not %v, %v", again.ID, made.ID, err)
	}
	other, err := b.Builder.Build(ctx, request("b"), nil)
	if err != nil || other.ID == made.ID {
		b.Errorf("another one gives %v, %v", other.ID, err)
	}
	if found, err := b.Images.Resolve(ctx, "more:1", v1.Platform{}); err != nil || found.ID != other.ID {
		b.Errorf("a name is that of what was built last: %+v, %v", found, err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = b.Builder.Build(ended, request("c"), nil)
	b.is("Build of a caller who has gone", err, context.Canceled)
	_, err = b.Images.Resolve(ctx, "made:c", v1.Platform{})
	b.is("Resolve of what was not built", err, errdefs.ErrNotFound)
	b.reopen()
	if names, err := b.Builder.Sweep(ctx, false); err != nil || len(names) > 0 {
		b.Errorf("Sweep finds %q, %v", names, err)
	}
	if found, err := b.Images.Resolve(ctx, "made:a", v1.Platform{}); err != nil || found.ID != made.ID {
		b.Errorf("after the daemon's end: %+v, %v", found, err)
	}
}
