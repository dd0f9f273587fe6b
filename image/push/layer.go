package push

import (
	"context"
	"io"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/stackrun/stack/image/catalog"
	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/layer"
	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/image/progress"
	"github.com/stackrun/stack/image/registry"
)

// parallelUploads bounds the layers that are compressed and sent at once.
const parallelUploads = 4

// bringAll brings the layers of rec to the registry and says as what.
func (p *push) bringAll(ctx context.Context, rec *catalog.Record, m *v1.Manifest) ([]v1.Descriptor, error) {
	out := make([]v1.Descriptor, len(rec.Layers))
	at := make(map[v1.Hash][]int) // a layer that an image has twice is pushed once
	var order []v1.Hash
	for i, d := range rec.Layers {
		if at[d] == nil {
			order = append(order, d)
		}
		at[d] = append(at[d], i)
	}
	for _, d := range order {
		p.report(progress.Report{Layer: content.Short(d), Phase: progress.Preparing})
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelUploads)
	for _, d := range order {
		group.Go(func() error {
			var own *v1.Descriptor
			if m != nil {
				own = &m.Layers[at[d][0]]
			}
			desc, err := p.bring(ctx, d, own)
			for _, i := range at[d] {
				out[i] = desc
			}
			return err
		})
	}
	return out, group.Wait()
}

// bring brings one to the registry: by what it has, from its other repositories, from where the image came, and only then compressed here. own is what the
// image's manifest calls it, nil without one.
func (p *push) bring(ctx context.Context, diff v1.Hash, own *v1.Descriptor) (v1.Descriptor, error) {
	name := content.Short(diff)
	known := p.layers.Forms(diff)
	if own != nil && manifest.Compressed(own.MediaType) {
		f := layer.Form{Digest: own.Digest, Size: own.Size, Media: own.MediaType}
		if i := slices.IndexFunc(known, func(k layer.Form) bool { return k.Digest == f.Digest }); i >= 0 {
			f.Repos = known[i].Repos
			known = slices.Delete(known, i, i+1)
		}
		for _, way := range []func(context.Context, string, layer.Form) (v1.Descriptor, bool, error){p.there, p.copy} {
			if desc, ok, err := way(ctx, name, f); ok || err != nil {
				return desc, err
			}
		}
	}
	for _, f := range known {
		if desc, ok, err := p.there(ctx, name, f); ok || err != nil {
			return desc, err
		}
	}
	return p.compress(ctx, diff, name, own != nil)
}

// there says whether the registry has f, or takes it from another of its repositories.
func (p *push) there(ctx context.Context, name string, f layer.Form) (v1.Descriptor, bool, error) {
	has, err := p.to.Has(ctx, f.Digest)
	if err != nil {
		return v1.Descriptor{}, false, err
	}
	if has {
		p.report(progress.Report{Layer: name, Phase: progress.Exists, Current: f.Size, Total: f.Size})
		return f.Descriptor(), true, nil
	}
	var others []string
	for _, repo := range slices.Backward(f.Repos) {
		if from, ok := strings.CutPrefix(repo, p.ref.Host+"/"); ok && from != p.ref.Repo {
			others = append(others, from)
		}
	}
	from, err := p.to.Mount(ctx, f.Digest, others)
	if err != nil || from == "" {
		return v1.Descriptor{}, false, err
	}
	p.report(progress.Report{Layer: name, Phase: progress.Mounted, From: from, Current: f.Size, Total: f.Size})
	return f.Descriptor(), true, nil
}

// copy sends f as the registry that the image came from has it.
func (p *push) copy(ctx context.Context, name string, f layer.Form) (v1.Descriptor, bool, error) {
	for _, from := range p.origins {
		if from.Name() == p.ref.Name() {
			continue // it has just said that it has not
		}
		src := p.registry.Source(from, nil, func(string) {})
		write := func(ctx context.Context, w io.Writer) (v1.Hash, int64, error) {
			body := src.Blob(ctx, f.Descriptor())
			defer body.Close()
			in, err := content.NewMeter(body, f.Digest, f.Size, func(n int64, _ bool) {
				p.report(progress.Report{Layer: name, Phase: progress.Sending, Current: n, Total: f.Size})
			})
			if err != nil {
				return v1.Hash{}, 0, err
			}
			if _, err := io.Copy(w, in); err != nil {
				return v1.Hash{}, 0, err
			}
			return f.Digest, f.Size, in.Verify()
		}
		_, failed, err := p.to.Send(ctx, f.Size, write)
		if err == nil {
			p.report(progress.Report{Layer: name, Phase: progress.Sent, Current: f.Size, Total: f.Size})
			return f.Descriptor(), true, nil
		}
		if !failed || ctx.Err() != nil {
			return v1.Descriptor{}, false, err
		}
		p.report(progress.Report{Layer: name, Phase: progress.Preparing, Note: "layer " + name + " is not to be had from " + from.Name() + ": " + registry.Describe(err)})
	}
	return v1.Descriptor{}, false, nil
}

// compress makes a blob of the unpacked layer and sends it.
func (p *push) compress(ctx context.Context, diff v1.Hash, name string, told bool) (v1.Descriptor, error) {
	if told {
		p.report(progress.Report{Layer: name, Phase: progress.Preparing, Note: "layer " + name + " is compressed anew, for nobody has it as it was pulled: the image gets another digest"})
	}
	total, err := p.layers.Size(ctx, diff)
	if err != nil {
		return v1.Descriptor{}, err
	}
	write := func(ctx context.Context, w io.Writer) (v1.Hash, int64, error) {
		return p.layers.Compress(ctx, diff, w, func(at int64) {
			p.report(progress.Report{Layer: name, Phase: progress.Sending, Current: at, Total: total})
		})
	}
	desc, _, err := p.to.Send(ctx, 0, write)
	if err != nil {
		return v1.Descriptor{}, err
	}
	desc.MediaType = types.OCILayer
	p.layers.NoteForm(diff, desc)
	p.report(progress.Report{Layer: name, Phase: progress.Sent, Current: total, Total: total})
	return desc, nil
}
