package push

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/credentials"
	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/image/progress"
	"github.com/stackrun/stack/image/registry"
	"github.com/stackrun/stack/internal/reference"
)

// Session gives layers that are no image's to a repository. Its methods may be called from many goroutines; their errors are those of Push.
type Session struct{ push }

// Open begins with the repository of ref, for layers, with auth (nil = what this host has stored). note is told what is odd and no error.
func (s *Pusher) Open(ctx context.Context, ref reference.Reference, auth *credentials.Auth, layers []v1.Hash, note func(string)) (*Session, error) {
	p := &Session{push{Pusher: s, ref: ref, auth: auth, report: func(r progress.Report) {
		if r.Note != "" {
			note(r.Note)
		}
	}}}
	var err error
	if p.to, err = s.registry.Repository(ctx, ref, auth, p.mounts(layers)); err != nil {
		return nil, p.said(ctx, err)
	}
	if w := p.to.Warning(); w != "" {
		note(w + "; going on without credentials")
	}
	return p, nil
}

func (p *Session) said(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return registry.PushError(p.ref, err, p.to.Warning())
}

// Layer brings the layer diff, which is here, to the repository and says as what.
func (p *Session) Layer(ctx context.Context, diff v1.Hash) (v1.Descriptor, error) {
	desc, err := p.bring(ctx, diff, nil)
	if err == nil {
		p.layers.NoteRepo(diff, desc.Digest, p.ref.Name())
	}
	return desc, p.said(ctx, err)
}

// Has asks whether the repository has the blob.
func (p *Session) Has(ctx context.Context, desc v1.Descriptor) (bool, error) {
	has, err := p.to.Has(ctx, desc.Digest)
	return has, p.said(ctx, err)
}

// Put sends raw, which has the digest.
func (p *Session) Put(ctx context.Context, digest v1.Hash, raw []byte) error {
	return p.said(ctx, p.to.Put(ctx, digest, raw))
}

// Name names doc in the repository by the reference of the session.
func (p *Session) Name(ctx context.Context, doc manifest.Document) error {
	return p.said(ctx, p.to.PutManifest(ctx, p.ref.Tag, doc))
}
