package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
)

// parallelUploads bounds the layers that are compressed and sent at once.
const parallelUploads = 4

// PushOptions of Push.
type PushOptions struct {
	Platform v1.Platform // zero = this host's
	Auth     *Auth       // nil = the credentials that this host has stored
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
// progress may be nil; it is called from one goroutine at a time. Errors: errdefs.ErrNotFound when the image is not here, ErrDenied, errdefs.ErrUnavailable.
func (s *Store) Push(ctx context.Context, ref string, opt PushOptions, progress func(Progress)) (Pushed, error) {
	r, err := ParseReference(ref)
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
	busy, err := flock(s.path("pulls"), unix.LOCK_SH) // keeps Prune from the layers
	if err != nil {
		return Pushed{}, err
	}
	defer busy.Close()
	p := &push{store: s, ref: r, auth: opt.Auth}
	report := limitRate(oneAtATime(progress))
	p.report = func(pr Progress) { pr.Ref = r.Familiar(); report(pr) }
	done, err := p.run(ctx, info.ID)
	if ctx.Err() != nil {
		return Pushed{}, context.Cause(ctx)
	}
	if err != nil {
		return Pushed{}, p.failed(err)
	}
	return done, nil
}

func oneAtATime(progress func(Progress)) func(Progress) {
	if progress == nil {
		return func(Progress) {}
	}
	var mu sync.Mutex
	return func(p Progress) {
		mu.Lock()
		defer mu.Unlock()
		progress(p)
	}
}

// push is one push under way.
type push struct {
	store  *Store
	ref    Reference
	auth   *Auth
	report func(Progress)
	to     *session

	origins []Reference // where the image's own layers were pulled from
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
		err = verifyBytes(conf, id)
	}
	if err != nil {
		return Pushed{}, fmt.Errorf("its configuration: %w", err)
	}
	doc, parsed := s.manifestOf(rec)
	p.origins = origins(rec, doc)
	ep := s.endpoints(p.ref.Host)
	p.report(Progress{Phase: Preparing})
	if p.to, err = s.connect(ctx, ep[len(ep)-1], p.ref.Repo, access{auth: p.auth, push: true, from: p.mounts(rec)}); err != nil {
		return Pushed{}, err
	}
	if p.to.warning != "" {
		p.report(Progress{Phase: Preparing, Note: p.to.warning + "; going on without credentials"})
	}
	layers, err := p.layers(ctx, rec, parsed)
	if err != nil {
		return Pushed{}, err
	}
	made, err := p.document(rec, doc, parsed, layers, int64(len(conf)))
	if err != nil {
		return Pushed{}, err
	}
	if _, err := p.blob(ctx, id, int64(len(conf)), bytesPayload(conf)); err != nil {
		return Pushed{}, err
	}
	if err := p.to.putManifest(ctx, p.ref.Tag, made); err != nil {
		return Pushed{}, err
	}
	for i, d := range rec.Layers {
		s.noteRepo(d, layers[i].Digest, p.ref.Name())
	}
	if err := p.record(id, made); err != nil {
		return Pushed{}, err
	}
	p.report(Progress{Phase: Done})
	return Pushed{Ref: p.ref.Familiar(), Digest: made.digest, Size: int64(len(made.raw))}, nil
}

// manifestOf is the manifest that rec was pulled or pushed with; nil when there is none that is whole and of compressed layers.
func (s *Store) manifestOf(rec *record) (document, *v1.Manifest) {
	if rec.Manifest == (v1.Hash{}) {
		return document{}, nil
	}
	raw, err := os.ReadFile(s.blobPath(rec.Manifest))
	if err != nil || verifyBytes(raw, rec.Manifest) != nil {
		return document{}, nil
	}
	m := new(v1.Manifest)
	if json.Unmarshal(raw, m) != nil || len(m.Layers) != len(rec.Layers) || m.Config.Digest != rec.ID {
		return document{}, nil
	}
	doc := document{raw: raw, digest: rec.Manifest}
	if doc.media = mediaType(doc); doc.media == "" {
		doc.media = m.MediaType
	}
	return doc, m
}

// origins are the repositories that have, or had, the manifest doc.
func origins(rec *record, doc document) []Reference {
	var list []Reference
	for _, d := range rec.Digests {
		if ref, err := ParseReference(d); err == nil && ref.Digest == doc.digest {
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
		for _, f := range p.store.forms(d) {
			for _, repo := range slices.Backward(f.Repos) {
				add(repo)
			}
		}
	}
	return list
}

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
		p.report(Progress{Layer: shortDigest(d), Phase: Preparing})
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
	name := shortDigest(diff)
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
		p.report(Progress{Layer: name, Phase: Exists, Current: f.Size, Total: f.Size})
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
			p.report(Progress{Layer: name, Phase: Mounted, From: from, Current: f.Size, Total: f.Size})
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
			in, err := newMeter(body, f.Digest, f.Size, func(_ Phase, n int64) {
				p.report(Progress{Layer: name, Phase: Sending, Current: n, Total: f.Size})
			})
			if err != nil {
				return v1.Hash{}, 0, err
			}
			if _, err := io.Copy(w, in); err != nil {
				return v1.Hash{}, 0, err
			}
			return f.Digest, f.Size, in.verify()
		}
		_, failed, err := p.send(ctx, f.Size, write)
		if err == nil {
			p.report(Progress{Layer: name, Phase: Sent, Current: f.Size, Total: f.Size})
			return f.descriptor(), true, nil
		}
		if !failed || ctx.Err() != nil {
			return v1.Descriptor{}, false, err
		}
		p.report(Progress{Layer: name, Phase: Preparing, Note: "layer " + name + " is not to be had from " + from.Name() + ": " + describe(err)})
	}
	return v1.Descriptor{}, false, nil
}

// compress makes a blob of the unpacked layer and sends it.
func (p *push) compress(ctx context.Context, diff v1.Hash, name string, told bool) (v1.Descriptor, error) {
	if told {
		p.report(Progress{Layer: name, Phase: Preparing, Note: "layer " + name + " is compressed anew, for nobody has it as it was pulled: the image gets another digest"})
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
			p.report(Progress{Layer: name, Phase: Sending, Current: at, Total: total})
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
	p.report(Progress{Layer: name, Phase: Sent, Current: total, Total: total})
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
		return digestOf(b), int64(n), err
	}
}

// packed says whether a layer of this type is compressed: save writes ones that are not, for archives alone.
func packed(t types.MediaType) bool {
	return t != types.OCIUncompressedLayer && t != types.DockerUncompressedLayer
}

// document is the manifest of the image with these layers: the one that it has, if that is of these, else an OCI manifest.
func (p *push) document(rec *record, doc document, m *v1.Manifest, layers []v1.Descriptor, conf int64) (document, error) {
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
		return document{}, err
	}
	return document{raw: raw, media: next.MediaType, digest: digestOf(raw)}, nil
}

func ociLayer(t types.MediaType) types.MediaType {
	if t == types.DockerLayer {
		return types.OCILayer
	}
	return t
}

// record remembers that the repository has the image as made says.
func (p *push) record(id v1.Hash, made document) error {
	if err := p.store.writeBlob(made.digest, made.raw); err != nil {
		return diskError(p.store.root, err)
	}
	name := p.ref.Digested(made.digest)
	return p.store.update(func(x *index) error {
		rec := x.byID(id)
		if rec == nil {
			return nil // removed meanwhile; the registry has it
		}
		if rec.Manifest == (v1.Hash{}) || !slices.ContainsFunc(rec.Digests, func(d string) bool { return strings.HasSuffix(d, "@"+rec.Manifest.String()) }) {
			rec.Manifest = made.digest
		}
		if !slices.Contains(rec.Digests, name) {
			rec.Digests = append(rec.Digests, name)
		}
		return nil
	})
}

// failed says of the whole what went wrong, and what to do.
func (p *push) failed(err error) error {
	kind, hint := kindOf(err), ""
	switch {
	case status(err) == 0 && (errors.Is(err, errdefs.ErrNotFound) || errors.Is(err, errdefs.ErrNotSupported)):
		return fmt.Errorf("cannot push %s: %w", p.ref.Familiar(), err)
	case kind == ErrDenied:
		hint = fmt.Sprintf("; pushing needs credentials that may write to %s: docker login %s, or podman login", p.ref.Repo, p.ref.Host)
		if p.to != nil && p.to.warning != "" {
			hint += " (" + p.to.warning + ")"
		}
	case kind == errdefs.ErrNotFound:
		hint = "; the registry may want the repository to be made first"
	case errors.Is(err, errPlainHTTP), errors.Is(err, http.ErrSchemeMismatch):
		hint = "; it speaks http without TLS: add it to registries.insecure of the configuration file to allow that"
	}
	return errdefs.With(kind, fmt.Errorf("cannot push %s: %s %s%s%w", p.ref.Familiar(), p.ref.Host, describe(err), hint, silent{err}))
}

// silent is an error that is there to be looked for, and was said in other words.
type silent struct{ err error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.err }
