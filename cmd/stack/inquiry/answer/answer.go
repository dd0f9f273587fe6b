// Package answer answers inquiries. It is of the daemon's program.
package answer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/cmd/stack/doctor/probe"
	"github.com/stackrun/stack/cmd/stack/inquiry"
	"github.com/stackrun/stack/cmd/stack/remote/artifact"
	"github.com/stackrun/stack/cmd/stack/settings"
	"github.com/stackrun/stack/image/registry"
	"github.com/stackrun/stack/internal/roots"
)

// Serve reads a question from r and writes the answer to w. An error is of these two: what the question came to is in the answer.
func Serve(ctx context.Context, r io.Reader, w io.Writer) error {
	var q inquiry.Question
	if err := json.NewDecoder(r).Decode(&q); err != nil {
		return fmt.Errorf("cannot read a question: %w", err)
	}
	return json.NewEncoder(w).Encode(Of(ctx, q))
}

// Of answers q.
func Of(ctx context.Context, q inquiry.Question) inquiry.Answer {
	var a inquiry.Answer
	var err error
	switch {
	case q.Host != nil:
		a.Host = probe.Run(*q.Host)
	case q.Artifact != nil:
		a.Root, err = artifact.Fetch(ctx, q.Artifact.Cache, q.Artifact.Ref)
	case q.Pins != nil:
		a.Pins, err = pins(ctx, q.Pins)
	default:
		err = errors.New("an empty question")
	}
	a.Error = api.FromError(err, roots.Roots{})
	return a
}

// atOnce is how many registries are asked side by side.
const atOnce = 8

func pins(ctx context.Context, q *inquiry.Pins) ([]inquiry.Pin, error) {
	config, err := settings.Read(q.Config)
	if err != nil {
		return nil, err
	}
	registries, err := registry.New(registry.Options{Mirrors: config.Registries.Mirrors, Insecure: config.Registries.Insecure})
	if err != nil {
		return nil, err
	}
	all := make([]inquiry.Pin, len(q.Images))
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i, name := range q.Images {
		g.Go(func() error {
			ref, err := registries.Pin(ctx, name, func(note string) { all[i].Note = note })
			if all[i].Ref = ref.String(); err != nil {
				all[i].Ref, all[i].Fault = "", err.Error()
			}
			return nil
		})
	}
	g.Wait() //nolint:errcheck // each has its own
	return all, context.Cause(ctx)
}
