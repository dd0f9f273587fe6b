package push

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/stackrun/stack/image/catalog"
	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/credentials"
	"github.com/stackrun/stack/image/layer"
	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/image/progress"
	"github.com/stackrun/stack/image/registry"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

// Result is what a registry has after a push.
type Result struct {
	Ref    string // as users write it
	Digest v1.Hash
	Size   int64 // of the manifest, bytes
}

// Pusher gives local images to registries. Its methods may be called from many goroutines.
type Pusher struct {
	registry *registry.Client
	catalog  *catalog.Catalog
	layers   *layer.Store
}

// New gives to registries what catalog and layers have.
func New(registry *registry.Client, catalog *catalog.Catalog, layers *layer.Store) *Pusher {
	return &Pusher{registry, catalog, layers}
}

// Push gives the image id to the registry of ref, as ref says, with auth (nil = what this host has stored). The caller keeps layers from being taken away meanwhile. report is
// called from several goroutines. errdefs.ErrNotFound when the image is not here, registry.ErrDenied, errdefs.ErrUnavailable.
func (s *Pusher) Push(ctx context.Context, ref reference.Reference, id v1.Hash, auth *credentials.Auth, report func(progress.Report)) (Result, error) {
	p := &push{Pusher: s, ref: ref, auth: auth, report: report}
	done, err := p.run(ctx, id)
	if ctx.Err() != nil {
		return Result{}, context.Cause(ctx)
	}
	if err != nil {
		return Result{}, registry.PushError(p.ref, err, p.to.Warning())
	}
	return done, nil
}

// push is one push under way.
type push struct {
	*Pusher
	ref    reference.Reference
	auth   *credentials.Auth
	report func(progress.Report)
	to     *registry.Repository

	origins []reference.Reference // where the image's own layers were pulled from
}

func (p *push) run(ctx context.Context, id v1.Hash) (Result, error) {
	x, err := p.catalog.Index()
	if err != nil {
		return Result{}, err
	}
	rec := x.ByID(id)
	if rec == nil {
		return Result{}, errdefs.With(errdefs.ErrNotFound, errors.New("it has just been removed"))
	}
	conf, err := p.catalog.RawConfig(id)
	if err != nil {
		return Result{}, err
	}
	doc, parsed := p.catalog.ManifestOf(rec)
	p.origins = origins(rec, doc)
	p.report(progress.Report{Phase: progress.Preparing})
	if p.to, err = p.registry.Repository(ctx, p.ref, p.auth, p.mounts(rec.Layers)); err != nil {
		return Result{}, err
	}
	if p.to.Warning() != "" {
		p.report(progress.Report{Phase: progress.Preparing, Note: p.to.Warning() + "; going on without credentials"})
	}
	layers, err := p.bringAll(ctx, rec, parsed)
	if err != nil {
		return Result{}, err
	}
	made, err := p.document(rec, doc, parsed, layers, int64(len(conf)))
	if err != nil {
		return Result{}, err
	}
	if err := p.to.Put(ctx, id, conf); err != nil {
		return Result{}, err
	}
	if err := p.to.PutManifest(ctx, p.ref.Tag, made); err != nil {
		return Result{}, err
	}
	for i, d := range rec.Layers {
		p.layers.NoteRepo(d, layers[i].Digest, p.ref.Name())
	}
	if err := p.record(id, made); err != nil {
		return Result{}, err
	}
	p.report(progress.Report{Phase: progress.Done})
	return Result{Ref: p.ref.Familiar(), Digest: made.Digest, Size: int64(len(made.Raw))}, nil
}

// origins are the repositories that have, or had, the manifest doc.
func origins(rec *catalog.Record, doc manifest.Document) []reference.Reference {
	var list []reference.Reference
	for _, d := range rec.Digests {
		if ref, err := reference.Parse(d); err == nil && ref.Digest == doc.Digest {
			list = append(list, ref)
		}
	}
	return list
}

// mounts are the other repositories of the registry that layers may be taken from: what a session is asked to be good for.
func (p *push) mounts(layers []v1.Hash) []string {
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
	for _, d := range layers {
		for _, f := range p.layers.Forms(d) {
			for _, repo := range slices.Backward(f.Repos) {
				add(repo)
			}
		}
	}
	return list
}

// document is the manifest of the image with these layers: the one that it has, if that is of these, else an OCI manifest.
func (p *push) document(rec *catalog.Record, doc manifest.Document, m *v1.Manifest, layers []v1.Descriptor, conf int64) (manifest.Document, error) {
	if m != nil && slices.EqualFunc(m.Layers, layers, func(a, b v1.Descriptor) bool { return a.Digest == b.Digest }) {
		return doc, nil
	}
	next := v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Size: conf, Digest: rec.ID},
		Layers: make([]v1.Descriptor, len(layers)),
	}
	for i, l := range layers {
		next.Layers[i] = v1.Descriptor{MediaType: manifest.OCILayer(l.MediaType), Size: l.Size, Digest: l.Digest}
	}
	raw, err := json.Marshal(next)
	if err != nil {
		return manifest.Document{}, err
	}
	return manifest.Document{Raw: raw, Media: next.MediaType, Digest: content.Digest(raw)}, nil
}

// record remembers that the repository has the image as made says.
func (p *push) record(id v1.Hash, made manifest.Document) error {
	if err := p.catalog.WriteBlob(made.Digest, made.Raw); err != nil {
		return err
	}
	name := p.ref.Digested(made.Digest)
	return p.catalog.Update(func(x *catalog.Index) error {
		rec := x.ByID(id)
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
