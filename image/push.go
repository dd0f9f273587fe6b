package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/credentials"
	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/image/progress"
	"github.com/stackrun/stack/image/registry"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

// PushOptions of Push.
type PushOptions struct {
	Platform v1.Platform       // zero = this host's
	Auth     *credentials.Auth // nil = the credentials that this host has stored
}

// Pushed is what a registry has after a push.
type Pushed struct {
	Ref    string // as users write it
	Digest v1.Hash
	Size   int64 // of the manifest, bytes
}

// Push gives the local image ref, a name with a tag, to the registry that the name says. What the registry has is not sent again, and what another of its repositories has
// is taken from there. An image that was pulled arrives with the manifest and the layers that it was pulled with, so by the same digest, as long as
// one of these, or the registry that it came from, has them; a layer that nobody has any more is compressed anew, which is told (Progress.Note), and the image has another digest then.
//
// tell may be nil; it is called from one goroutine at a time. Errors: errdefs.ErrNotFound when the image is not here, ErrDenied, errdefs.ErrUnavailable.
func (s *Store) Push(ctx context.Context, ref string, opt PushOptions, tell func(progress.Report)) (Pushed, error) {
	r, err := reference.Parse(ref)
	if err == nil && r.HasDigest() {
		err = errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot push %s: a push is by tag; its digest comes of what is pushed", ref))
	}
	if err != nil {
		return Pushed{}, err
	}
	info, err := s.Resolve(ctx, r.String(), opt.Platform)
	if err != nil {
		return Pushed{}, fmt.Errorf("cannot push %s: %w", r.Familiar(), err)
	}
	busy, err := s.dir.KeepLayers() // keeps Prune from the layers
	if err != nil {
		return Pushed{}, err
	}
	defer busy.Close()
	p := &push{store: s, ref: r, auth: opt.Auth}
	report := progress.Limit(progress.Serial(tell))
	p.report = func(pr progress.Report) { pr.Ref = r.Familiar(); report(pr) }
	done, err := p.run(ctx, info.ID)
	if ctx.Err() != nil {
		return Pushed{}, context.Cause(ctx)
	}
	if err != nil {
		return Pushed{}, registry.PushError(p.ref, err, p.to.Warning())
	}
	return done, nil
}

// push is one push under way.
type push struct {
	store  *Store
	ref    reference.Reference
	auth   *credentials.Auth
	report func(progress.Report)
	to     *registry.Repository

	origins []reference.Reference // where the image's own layers were pulled from
}

func (p *push) run(ctx context.Context, id v1.Hash) (Pushed, error) {
	s := p.store
	x, err := s.readIndex()
	if err != nil {
		return Pushed{}, err
	}
	rec := x.byID(id)
	if rec == nil {
		return Pushed{}, errdefs.With(errdefs.ErrNotFound, errors.New("it has just been removed"))
	}
	conf, err := os.ReadFile(s.blobPath(id))
	if err == nil {
		err = content.Verify(conf, id)
	}
	if err != nil {
		return Pushed{}, fmt.Errorf("its configuration: %w", err)
	}
	doc, parsed := s.manifestOf(rec)
	p.origins = origins(rec, doc)
	p.report(progress.Report{Phase: progress.Preparing})
	if p.to, err = s.registry.Repository(ctx, p.ref, p.auth, p.mounts(rec)); err != nil {
		return Pushed{}, err
	}
	if p.to.Warning() != "" {
		p.report(progress.Report{Phase: progress.Preparing, Note: p.to.Warning() + "; going on without credentials"})
	}
	layers, err := p.layers(ctx, rec, parsed)
	if err != nil {
		return Pushed{}, err
	}
	made, err := p.document(rec, doc, parsed, layers, int64(len(conf)))
	if err != nil {
		return Pushed{}, err
	}
	if err := p.to.Put(ctx, id, conf); err != nil {
		return Pushed{}, err
	}
	if err := p.to.PutManifest(ctx, p.ref.Tag, made); err != nil {
		return Pushed{}, err
	}
	for i, d := range rec.Layers {
		s.layers.NoteRepo(d, layers[i].Digest, p.ref.Name())
	}
	if err := p.record(id, made); err != nil {
		return Pushed{}, err
	}
	p.report(progress.Report{Phase: progress.Done})
	return Pushed{Ref: p.ref.Familiar(), Digest: made.Digest, Size: int64(len(made.Raw))}, nil
}

// manifestOf is the manifest that rec was pulled or pushed with; nil when there is none that is whole and of compressed layers.
func (s *Store) manifestOf(rec *record) (manifest.Document, *v1.Manifest) {
	if rec.Manifest == (v1.Hash{}) {
		return manifest.Document{}, nil
	}
	raw, err := os.ReadFile(s.blobPath(rec.Manifest))
	if err != nil || content.Verify(raw, rec.Manifest) != nil {
		return manifest.Document{}, nil
	}
	m := new(v1.Manifest)
	if json.Unmarshal(raw, m) != nil || len(m.Layers) != len(rec.Layers) || m.Config.Digest != rec.ID {
		return manifest.Document{}, nil
	}
	doc := manifest.Document{Raw: raw, Digest: rec.Manifest}
	if doc.Media = manifest.MediaType(doc); doc.Media == "" {
		doc.Media = m.MediaType
	}
	return doc, m
}

// origins are the repositories that have, or had, the manifest doc.
func origins(rec *record, doc manifest.Document) []reference.Reference {
	var list []reference.Reference
	for _, d := range rec.Digests {
		if ref, err := reference.Parse(d); err == nil && ref.Digest == doc.Digest {
			list = append(list, ref)
		}
	}
	return list
}

// mounts are the other repositories of the registry that layers may be taken from: what a session is asked to be good for.
func (p *push) mounts(rec *record) []string {
	const most = 8 // what a token can name has a bound, and the last used are the best guess
	var list []string
	add := func(name string) {
		if repo, ok := strings.CutPrefix(name, p.ref.Host+"/"); ok && repo != p.ref.Repo && !slices.Contains(list, repo) && len(list) < most {
			list = append(list, repo)
		}
	}
	for _, ref := range p.origins {
		add(ref.Name())
	}
	for _, d := range rec.Layers {
		for _, f := range p.store.layers.Forms(d) {
			for _, repo := range slices.Backward(f.Repos) {
				add(repo)
			}
		}
	}
	return list
}

// document is the manifest of the image with these layers: the one that it has, if that is of these, else an OCI manifest.
func (p *push) document(rec *record, doc manifest.Document, m *v1.Manifest, layers []v1.Descriptor, conf int64) (manifest.Document, error) {
	if m != nil && slices.EqualFunc(m.Layers, layers, func(a, b v1.Descriptor) bool { return a.Digest == b.Digest }) {
		return doc, nil
	}
	next := v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Size: conf, Digest: rec.ID},
		Layers: make([]v1.Descriptor, len(layers)),
	}
	for i, l := range layers {
		next.Layers[i] = v1.Descriptor{MediaType: ociLayer(l.MediaType), Size: l.Size, Digest: l.Digest}
	}
	raw, err := json.Marshal(next)
	if err != nil {
		return manifest.Document{}, err
	}
	return manifest.Document{Raw: raw, Media: next.MediaType, Digest: content.Digest(raw)}, nil
}

func ociLayer(t types.MediaType) types.MediaType {
	if t == types.DockerLayer {
		return types.OCILayer
	}
	return t
}

// record remembers that the repository has the image as made says.
func (p *push) record(id v1.Hash, made manifest.Document) error {
	if err := p.store.writeBlob(made.Digest, made.Raw); err != nil {
		return p.store.dir.Explain(err)
	}
	name := p.ref.Digested(made.Digest)
	return p.store.update(func(x *index) error {
		rec := x.byID(id)
		if rec == nil {
			return nil // removed meanwhile; the registry has it
		}
		if rec.Manifest == (v1.Hash{}) || !slices.ContainsFunc(rec.Digests, func(d string) bool { return strings.HasSuffix(d, "@"+rec.Manifest.String()) }) {
			rec.Manifest = made.Digest
		}
		if !slices.Contains(rec.Digests, name) {
			rec.Digests = append(rec.Digests, name)
		}
		return nil
	})
}
