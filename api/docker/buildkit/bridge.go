package buildkit

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/stackrun/stack/api/docker/buildkit/grpc"
	"github.com/stackrun/stack/api/docker/buildkit/message"
	"github.com/stackrun/stack/internal/errdefs"
)

// buildOf is the build whose frontend the caller is.
func (c *caller) buildOf(ctx context.Context, h http.Header) (*solve, error) {
	return c.find(ctx, h.Get("buildkit-controlapi-buildid"))
}

// frontendCaps are what a client that is a frontend may rely on.
// https://github.com/moby/buildkit/blob/v0.32.2/frontend/gateway/pb/caps.go
var frontendCaps = []string{"solve.base", "return", "returnmap", "proto.refarray", "importcaches", "frontend.inputs", "frontend.caps", "gateway.solve.metadata",
	"gateway.evaluate", "reference.output"}

// definitionCaps are what a definition may consist of: the sources that a context can be. Those that are fetched are refused by their URL, which says more than that
// they are not known.
// https://github.com/moby/buildkit/blob/v0.32.2/solver/pb/caps.go
var definitionCaps = []string{"source.image", "source.local", "source.local.sessionid", "source.local.includepatterns", "source.local.excludepatterns", "source.local.sharedkeyhint", "constraints", "platform",
	"source.git", "source.git.keepgitdir", "source.git.fullurl", "source.git.subdir", "source.git.httpauthtoken", "source.git.knownsshhosts", "source.git.mountsshsock", "source.git.checksum", "source.http", "file.base", "meta.description"}

func (c *caller) ping(ctx context.Context, h http.Header, _ []byte) ([]byte, error) {
	if _, err := c.buildOf(ctx, h); err != nil {
		return nil, err
	}
	return message.Pong(frontendCaps, definitionCaps), nil
}

// ask says by which name goes what comes of a Dockerfile. It is built when it is returned.
func (c *caller) ask(ctx context.Context, h http.Header, in []byte) ([]byte, error) {
	b, err := c.buildOf(ctx, h)
	if err != nil {
		return nil, err
	}
	req, err := message.ReadFrontendSolve(in)
	if err != nil {
		return nil, grpc.Errorf(grpc.InvalidArgument, "cannot read what is to be built: %w", err)
	}
	req.CacheExports, req.Entitlements = b.request.CacheExports, b.request.Entitlements
	req.CacheImports = append(req.CacheImports, b.request.CacheImports...)
	d, err := readDockerfile(req)
	if err != nil {
		return nil, plain(err)
	}
	ref, err := b.results.add(d)
	if err != nil {
		return nil, err
	}
	return message.FrontendSolved(ref, linkPrefix+b.request.Ref+"/"+ref), nil
}

// linkPrefix begins how a definition names the result of a build here: other builds can have it as a context.
const linkPrefix = "stack-build://"

// linked makes the image that link names, of a build of the caller's that is under way, and returns its id.
func (c *caller) linked(ctx context.Context, link string) (string, error) {
	build, ref, _ := strings.Cut(strings.TrimPrefix(link, linkPrefix), "/")
	b, err := c.find(ctx, build)
	if err != nil {
		return "", err
	}
	d, err := b.results.get(ref)
	if err != nil {
		return "", err
	}
	return c.image(ctx, b, d)
}

// image makes that of d, without a name, once. Whoever wants it waits for that.
func (c *caller) image(ctx context.Context, b *solve, d *dockerfile) (string, error) {
	d.once.Do(func() {
		var exported map[string]string
		exported, d.err = c.build(ctx, b, d, export{image: true})
		d.id = exported["containerimage.config.digest"]
	})
	return d.id, d.err
}

// evaluate makes a result before it is returned: a client asks for that when other builds are made of it.
func (c *caller) evaluate(ctx context.Context, h http.Header, in []byte) ([]byte, error) {
	b, err := c.buildOf(ctx, h)
	if err != nil {
		return nil, err
	}
	ref, err := message.ReadRef(in)
	if err != nil {
		return nil, err
	}
	d, err := b.results.get(ref)
	if err != nil {
		return nil, err
	}
	_, err = c.image(ctx, b, d)
	return nil, plain(err)
}

// giveBack takes what the client, as the frontend, has made, or why it has not.
func (c *caller) giveBack(ctx context.Context, h http.Header, in []byte) ([]byte, error) {
	b, err := c.buildOf(ctx, h)
	if err != nil {
		return nil, err
	}
	r, err := message.ReadReturn(in)
	if err != nil {
		return nil, grpc.Errorf(grpc.InvalidArgument, "cannot read what was made: %w", err)
	}
	select {
	case b.returned <- r:
		return nil, nil
	default:
		return nil, errdefs.With(errdefs.ErrConflict, errors.New("the build has its result already"))
	}
}

// inputs are what the client has given its frontend, which it is itself: definitions, that are not understood here.
func (c *caller) inputs(context.Context, http.Header, []byte) ([]byte, error) {
	return nil, nil
}

// warn is a sentence of the frontend's.
func (c *caller) warn(ctx context.Context, h http.Header, in []byte) ([]byte, error) {
	b, err := c.buildOf(ctx, h)
	if err != nil {
		return nil, err
	}
	text, err := message.ReadWarning(in)
	if err != nil {
		return nil, err
	}
	b.progress.warn(text)
	return nil, nil
}

func (c *caller) noFiles(context.Context, http.Header, []byte) ([]byte, error) {
	return nil, errdefs.With(errdefs.ErrNotSupported, errors.New("stack does not show the files of what is being built: build the image, and look into it"))
}

// results are what the client has asked for in one build.
type results struct {
	mu    sync.Mutex
	byRef map[string]*dockerfile
}

func newResults() *results { return &results{byRef: map[string]*dockerfile{}} }

// maxResults bounds what one build asks for: buildx asks once, or twice.
const maxResults = 100

func (r *results) add(d *dockerfile) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.byRef) >= maxResults {
		return "", grpc.Errorf(grpc.ResourceExhausted, "a build asks for more than %d results", maxResults)
	}
	ref := rand.Text()
	r.byRef[ref] = d
	return ref, nil
}

// of is what was returned; nil = nothing.
func (r *results) of(ret message.Return) (*dockerfile, error) {
	switch {
	case ret.Failed:
		return nil, &grpc.Error{Code: grpc.Code(ret.Code), Message: ret.Message, Details: ret.Details}
	case ret.Several:
		return nil, errdefs.With(errdefs.ErrNotSupported, errors.New("cannot build for several platforms: this host builds for its own"))
	case ret.Attestations:
		return nil, errdefs.With(errdefs.ErrNotSupported, errors.New("cannot attest what was built: stack makes no attestations"))
	case ret.Ref == "":
		return nil, nil
	}
	return r.get(ret.Ref)
}

func (r *results) get(ref string) (*dockerfile, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.byRef[ref]
	if d == nil {
		return nil, errdefs.With(errdefs.ErrNotFound, errors.New("the client asks for a result that it was not given"))
	}
	return d, nil
}
