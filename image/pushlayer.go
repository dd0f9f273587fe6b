package image

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/progress"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"
)

// parallelUploads bounds the layers that are compressed and sent at once.
const parallelUploads = 4

// layers brings the layers of rec to the registry and says as what.
func (p *push) layers(ctx context.Context, rec *record, m *v1.Manifest) ([]v1.Descriptor, error) {
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
			desc, err := p.layer(ctx, d, own)
			for _, i := range at[d] {
				out[i] = desc
			}
			return err
		})
	}
	return out, group.Wait()
}

// layer brings one to the registry: by what it has, from its other repositories, from where the image came, and only then compressed here. own is what the
// image's manifest calls it, nil without one.
func (p *push) layer(ctx context.Context, diff v1.Hash, own *v1.Descriptor) (v1.Descriptor, error) {
	name := content.Short(diff)
	known := p.store.forms(diff)
	if own != nil && packed(own.MediaType) {
		f := form{Digest: own.Digest, Size: own.Size, Media: own.MediaType}
		if i := slices.IndexFunc(known, func(k form) bool { return k.Digest == f.Digest }); i >= 0 {
			f.Repos = known[i].Repos
			known = slices.Delete(known, i, i+1)
		}
		for _, way := range []func(context.Context, string, form) (v1.Descriptor, bool, error){p.there, p.copy} {
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
func (p *push) there(ctx context.Context, name string, f form) (v1.Descriptor, bool, error) {
	has, err := p.to.has(ctx, f.Digest)
	if err != nil {
		return v1.Descriptor{}, false, err
	}
	if has {
		p.report(progress.Report{Layer: name, Phase: progress.Exists, Current: f.Size, Total: f.Size})
		return f.descriptor(), true, nil
	}
	for _, repo := range slices.Backward(f.Repos) {
		from, ok := strings.CutPrefix(repo, p.ref.Host+"/")
		if !ok || from == p.ref.Repo {
			continue
		}
		at, err := p.to.begin(ctx, f.Digest, from)
		if code := status(err); code >= 400 && code < 500 {
			continue // it may not be read, or is not there any more
		}
		if err != nil {
			return v1.Descriptor{}, false, err
		}
		if at == "" {
			p.report(progress.Report{Layer: name, Phase: progress.Mounted, From: from, Current: f.Size, Total: f.Size})
			return f.descriptor(), true, nil
		}
		p.cancel(ctx, at)
		break // the registry would, or would not, for any of them
	}
	return v1.Descriptor{}, false, nil
}

// cancel gives up an upload that was begun for nothing.
func (p *push) cancel(ctx context.Context, at string) {
	if resp, err := p.to.request(ctx, http.MethodDelete, at, nil, nil, 0, http.StatusNoContent, http.StatusOK, http.StatusAccepted); err == nil {
		resp.Body.Close()
	}
}

// copy sends f as the registry that the image came from has it.
func (p *push) copy(ctx context.Context, name string, f form) (v1.Descriptor, bool, error) {
	for _, from := range p.origins {
		if from.Name() == p.ref.Name() {
			continue // it has just said that it has not
		}
		src := p.store.source(from, nil, func(string) {})
		write := func(ctx context.Context, w io.Writer) (v1.Hash, int64, error) {
			body := src.blob(ctx, f.descriptor())
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
		_, failed, err := p.send(ctx, f.Size, write)
		if err == nil {
			p.report(progress.Report{Layer: name, Phase: progress.Sent, Current: f.Size, Total: f.Size})
			return f.descriptor(), true, nil
		}
		if !failed || ctx.Err() != nil {
			return v1.Descriptor{}, false, err
		}
		p.report(progress.Report{Layer: name, Phase: progress.Preparing, Note: "layer " + name + " is not to be had from " + from.Name() + ": " + describe(err)})
	}
	return v1.Descriptor{}, false, nil
}

// compress makes a blob of the unpacked layer and sends it.
func (p *push) compress(ctx context.Context, diff v1.Hash, name string, told bool) (v1.Descriptor, error) {
	if told {
		p.report(progress.Report{Layer: name, Phase: progress.Preparing, Note: "layer " + name + " is compressed anew, for nobody has it as it was pulled: the image gets another digest"})
	}
	total, err := p.store.layerSize(ctx, diff)
	if err != nil {
		return v1.Descriptor{}, err
	}
	write := func(ctx context.Context, w io.Writer) (v1.Hash, int64, error) {
		pack := newPacker(w)
		var at int64
		err := p.store.writeLayer(ctx, diff, writerFunc(func(b []byte) (int, error) {
			n, err := pack.Write(b)
			at += int64(n)
			p.report(progress.Report{Layer: name, Phase: progress.Sending, Current: at, Total: total})
			return n, err
		}))
		if err != nil {
			return v1.Hash{}, 0, err
		}
		return pack.finish()
	}
	desc, _, err := p.send(ctx, 0, write)
	if err != nil {
		return v1.Descriptor{}, err
	}
	desc.MediaType = types.OCILayer
	p.store.noteForm(diff, desc)
	p.report(progress.Report{Layer: name, Phase: progress.Sent, Current: total, Total: total})
	return desc, nil
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// send uploads what write gives, again from its beginning where a connection breaks. failed says that it was write that failed.
func (p *push) send(ctx context.Context, size int64, write payload) (_ v1.Descriptor, failed bool, _ error) {
	for n := 1; ; n++ {
		at, err := p.to.begin(ctx, v1.Hash{}, "")
		if err == nil {
			var digest v1.Hash
			var sent int64
			if digest, sent, failed, err = p.to.upload(ctx, at, size, write); err == nil {
				return v1.Descriptor{Digest: digest, Size: sent}, false, nil
			}
			if failed || ctx.Err() != nil {
				return v1.Descriptor{}, failed, err
			}
		}
		if n >= originAttempts || !passing(err) {
			return v1.Descriptor{}, false, err
		}
		if err := p.store.wait(ctx, backoff(n)); err != nil {
			return v1.Descriptor{}, false, err
		}
	}
}

// passing tells failures of an upload that another one may not have.
func passing(err error) bool {
	code := status(err)
	return transient(err) || code >= 500 || code == http.StatusTooManyRequests ||
		code == http.StatusNotFound || code == http.StatusUnauthorized // an upload that a registry has forgotten, a token that has run out under way
}

// blob sends one that is in memory, unless the registry has it.
func (p *push) blob(ctx context.Context, digest v1.Hash, size int64, write payload) (v1.Descriptor, error) {
	has, err := p.to.has(ctx, digest)
	if err != nil || has {
		return v1.Descriptor{Digest: digest, Size: size}, err
	}
	desc, _, err := p.send(ctx, size, write)
	return desc, err
}

func bytesPayload(b []byte) payload {
	return func(_ context.Context, w io.Writer) (v1.Hash, int64, error) {
		n, err := w.Write(b)
		return content.Digest(b), int64(n), err
	}
}
