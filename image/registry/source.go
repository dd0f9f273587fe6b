package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/credentials"
	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/internal/reference"
)

// Source is where one pull gets its bytes: the endpoints that may have the repository, in order. Content is
// addressed by digest, so a blob may come from any of them, and begin at one and end at another.
type Source struct {
	client *Client
	ref    reference.Reference
	auth   *credentials.Auth // nil = what this host has stored
	note   func(string)

	mu       sync.Mutex
	sessions []*lazySession
}

// lazySession connects when it is first needed.
type lazySession struct {
	endpoint endpoint
	once     sync.Once
	session  *Repository
	err      error
}

// Source reads the repository of ref from its mirrors and its registry; auth is for that one alone (nil = what this host has stored). note is told what is odd and no
// error. It does no I/O. What its methods return when nobody has what was asked for is a *PullError.
func (c *Client) Source(ref reference.Reference, auth *credentials.Auth, note func(string)) *Source {
	src := &Source{client: c, ref: ref, auth: auth, note: note}
	for _, ep := range c.endpoints(ref.Host) {
		src.sessions = append(src.sessions, &lazySession{endpoint: ep})
	}
	return src
}

func (src *Source) connect(ctx context.Context, l *lazySession) (*Repository, error) {
	l.once.Do(func() {
		if until, down := src.client.down.get(l.endpoint.host); down && l.endpoint.mirror {
			l.err = fmt.Errorf("was not reachable a moment ago, next try after %s", until.Format(time.TimeOnly))
			return
		}
		l.session, l.err = src.client.connect(ctx, l.endpoint, src.ref.Repo, access{auth: src.auth})
		if l.err != nil && l.endpoint.mirror && ctx.Err() == nil && status(l.err) == 0 {
			src.client.down.set(l.endpoint.host)
		}
		if l.session != nil && l.session.warning != "" {
			src.note(l.session.warning + "; going on without credentials")
		}
	})
	return l.session, l.err
}

func (src *Source) list() []*lazySession {
	src.mu.Lock()
	defer src.mu.Unlock()
	return append([]*lazySession(nil), src.sessions...)
}

// prefer moves the endpoint that answered to the front.
func (src *Source) prefer(l *lazySession) {
	src.mu.Lock()
	defer src.mu.Unlock()
	for i, other := range src.sessions {
		if other == l {
			copy(src.sessions[1:i+1], src.sessions[:i])
			src.sessions[0] = l
			return
		}
	}
}

// each tries fn at every endpoint until one succeeds. A context that ended is returned as itself.
func (src *Source) each(ctx context.Context, fn func(*Repository) error) error {
	var tries []attempt
	var warnings []string
	list := src.list()
	if src.client.offline {
		return pullError(src.ref, []attempt{{list[len(list)-1].endpoint, errOffline}}, nil)
	}
	for _, l := range list {
		c, err := src.connect(ctx, l)
		if err == nil {
			err = fn(c)
		}
		if err == nil {
			src.prefer(l)
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		tries = append(tries, attempt{l.endpoint, err})
		if c != nil && c.warning != "" {
			warnings = append(warnings, c.warning)
		}
		if l.endpoint.mirror && len(tries) < len(list) {
			src.note(l.endpoint.describe() + " " + Describe(err))
		}
	}
	// After prefer a mirror may be last; the origin's word decides.
	for i, t := range tries {
		if !t.endpoint.mirror {
			tries = append(append(tries[:i:i], tries[i+1:]...), t)
			break
		}
	}
	return pullError(src.ref, tries, warnings)
}

var manifestAccept = strings.Join([]string{
	string(types.OCIImageIndex), string(types.OCIManifestSchema1),
	string(types.DockerManifestList), string(types.DockerManifestSchema2),
}, ", ")

// Manifest fetches what identifier, a tag or a digest, names.
func (src *Source) Manifest(ctx context.Context, identifier string) (manifest.Document, error) {
	var doc manifest.Document
	err := src.each(ctx, func(c *Repository) error {
		resp, err := c.get(ctx, "/manifests/"+identifier, http.Header{"Accept": {manifestAccept}}, http.StatusOK)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		raw, err := content.ReadAll(resp.Body, manifest.MaxManifest, "manifest")
		if err != nil {
			return err
		}
		media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
		doc = manifest.Document{Raw: raw, Media: types.MediaType(strings.TrimSpace(media)), Digest: content.Digest(raw)}
		if strings.Contains(identifier, ":") {
			want, err := v1.NewHash(identifier)
			if err != nil {
				return err
			}
			if err := content.Verify(raw, want); err != nil {
				return fmt.Errorf("manifest is %w", err)
			}
			doc.Digest = want
		}
		if c.endpoint.mirror {
			src.note("from " + c.endpoint.describe())
		}
		return nil
	})
	return doc, err
}

// Small fetches a blob into memory: the image's configuration.
func (src *Source) Small(ctx context.Context, desc v1.Descriptor, limit int64) ([]byte, error) {
	var raw []byte
	err := src.each(ctx, func(c *Repository) error {
		resp, err := c.get(ctx, "/blobs/"+desc.Digest.String(), nil, http.StatusOK)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if raw, err = content.ReadAll(resp.Body, limit, "image configuration"); err != nil {
			return err
		}
		return content.Verify(raw, desc.Digest)
	})
	return raw, err
}

// Blob opens a blob as a stream that goes on after broken connections. The bytes are not verified here.
func (src *Source) Blob(ctx context.Context, desc v1.Descriptor) io.ReadCloser {
	return &blobReader{ctx: ctx, src: src, desc: desc}
}

// blobReader reads a blob from any endpoint, and after a failure goes on where it was.
type blobReader struct {
	ctx   context.Context
	src   *Source
	desc  v1.Descriptor
	body  io.ReadCloser
	at    int64
	tries int // without progress
}

func (b *blobReader) Read(p []byte) (int, error) {
	for {
		if b.body == nil {
			if err := b.open(); err != nil {
				return 0, err
			}
		}
		n, err := b.body.Read(p)
		b.at += int64(n)
		if n > 0 {
			b.tries = 0
		}
		switch {
		case err == io.EOF && b.desc.Size > 0 && b.at < b.desc.Size:
			err = io.ErrUnexpectedEOF
		case err == nil || err == io.EOF:
			return n, err
		}
		b.body.Close()
		b.body = nil
		if b.ctx.Err() != nil {
			return n, context.Cause(b.ctx)
		}
		b.tries++
		if !transient(err) || b.tries >= originAttempts {
			return n, fmt.Errorf("cannot pull %s: layer %s broke off after %s: %w", b.src.ref.Familiar(), content.Short(b.desc.Digest), content.SizeText(b.at), err)
		}
		if n > 0 {
			return n, nil
		}
		if err := b.src.client.wait(b.ctx, backoff(b.tries)); err != nil {
			return 0, err
		}
	}
}

func (b *blobReader) open() error {
	return b.src.each(b.ctx, func(c *Repository) error {
		header := http.Header{}
		if b.at > 0 {
			header.Set("Range", fmt.Sprintf("bytes=%d-", b.at))
		}
		ctx, stall := watchStall(b.ctx)
		resp, err := c.get(ctx, "/blobs/"+b.desc.Digest.String(), header, http.StatusOK, http.StatusPartialContent)
		if err != nil {
			stall.stop()
			return err
		}
		body := &stallReader{body: resp.Body, stall: stall}
		if b.at > 0 && resp.StatusCode == http.StatusOK {
			// The server takes no ranges: read again what is here already.
			if _, err := io.CopyN(io.Discard, body, b.at); err != nil {
				body.Close()
				return err
			}
		}
		b.body = body
		return nil
	})
}

func (b *blobReader) Close() error {
	if b.body == nil {
		return nil
	}
	return b.body.Close()
}

// stallTimeout is how long a body may give nothing before the connection counts as broken.
const stallTimeout = 30 * time.Second

var errStalled = errors.New("no data for 30 seconds")

type stallWatch struct {
	timer  *time.Timer
	cancel context.CancelCauseFunc
	ctx    context.Context
}

func watchStall(ctx context.Context) (context.Context, *stallWatch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &stallWatch{cancel: cancel, ctx: ctx}
	// Waiting for the header has a limit of its own, and the pauses of retries are in it.
	w.timer = time.AfterFunc(time.Hour, func() { cancel(errStalled) })
	return ctx, w
}

func (w *stallWatch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

type stallReader struct {
	body  io.ReadCloser
	stall *stallWatch
}

func (r *stallReader) Read(p []byte) (int, error) {
	r.stall.timer.Reset(stallTimeout)
	n, err := r.body.Read(p)
	r.stall.timer.Stop() // a reader that is slow to come back is no stall
	if err != nil && err != io.EOF && errors.Is(context.Cause(r.stall.ctx), errStalled) {
		err = errStalled
	}
	return n, err
}

func (r *stallReader) Close() error {
	r.stall.stop()
	return r.body.Close()
}

// downList remembers mirrors that did not answer, so that ten services do not wait for a dead one ten times.
type downList struct {
	mu    sync.Mutex
	until map[string]time.Time
}

const downFor = 30 * time.Second

func (d *downList) get(host string) (time.Time, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	until, ok := d.until[host]
	return until, ok && time.Now().Before(until)
}

func (d *downList) set(host string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.until == nil {
		d.until = make(map[string]time.Time)
	}
	d.until[host] = time.Now().Add(downFor)
}
