package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/credentials"
	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/internal/reference"
)

// Repository is an authorised connection to ref's repository at its registry itself, for pushing: with auth (nil = what this host has stored), and good for taking blobs from
// the repositories from of the same registry.
func (c *Client) Repository(ctx context.Context, ref reference.Reference, auth *credentials.Auth, from []string) (*Repository, error) {
	list := c.endpoints(ref.Host)
	return c.connect(ctx, list[len(list)-1], ref.Repo, access{auth: auth, push: true, from: from})
}

// Payload writes a blob, and says what it was when all of it is written and right. It can be asked again.
type Payload func(ctx context.Context, w io.Writer) (v1.Hash, int64, error)

// request does one request below the repository, or at a whole URL. The caller closes the body.
func (c *Repository) request(ctx context.Context, method, target string, header http.Header, body io.Reader, size int64, ok ...int) (*http.Response, error) {
	if !strings.Contains(target, "://") {
		u := c.base
		u.Path, u.RawQuery, _ = strings.Cut(c.base.Path+target, "?")
		target = u.String()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	if header != nil {
		req.Header = header
	}
	if size > 0 {
		req.ContentLength = size
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	if err := transport.CheckError(resp, ok...); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// Has asks whether the repository has the blob.
func (c *Repository) Has(ctx context.Context, digest v1.Hash) (bool, error) {
	resp, err := c.request(ctx, http.MethodHead, "/blobs/"+digest.String(), nil, nil, 0, http.StatusOK)
	if status(err) == http.StatusNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, resp.Body.Close()
}

// Mount has the registry take the blob from the first of the repositories from, others of this registry, that may be read and has it. It returns which that was; "" = none.
func (c *Repository) Mount(ctx context.Context, digest v1.Hash, from []string) (string, error) {
	for _, repo := range from {
		at, err := c.begin(ctx, digest, repo)
		if code := status(err); code >= 400 && code < 500 {
			continue // it may not be read, or is not there any more
		}
		if err != nil {
			return "", err
		}
		if at == "" {
			return repo, nil
		}
		c.cancel(ctx, at)
		break // the registry would, or would not, for any of them
	}
	return "", nil
}

// cancel gives up an upload that was begun for nothing.
func (c *Repository) cancel(ctx context.Context, at string) {
	if resp, err := c.request(ctx, http.MethodDelete, at, nil, nil, 0, http.StatusNoContent, http.StatusOK, http.StatusAccepted); err == nil {
		resp.Body.Close()
	}
}

// Put sends b, which has the digest, unless the repository has it.
func (c *Repository) Put(ctx context.Context, digest v1.Hash, b []byte) error {
	has, err := c.Has(ctx, digest)
	if err != nil || has {
		return err
	}
	_, _, err = c.Send(ctx, int64(len(b)), func(_ context.Context, w io.Writer) (v1.Hash, int64, error) {
		n, err := w.Write(b)
		return digest, int64(n), err
	})
	return err
}

// Send uploads a blob that write gives, again from its beginning where a connection breaks, and returns its digest and size. size is what is known of that before; 0 = nothing.
// failed says that it was write that failed.
func (c *Repository) Send(ctx context.Context, size int64, write Payload) (_ v1.Descriptor, failed bool, _ error) {
	for n := 1; ; n++ {
		at, err := c.begin(ctx, v1.Hash{}, "")
		if err == nil {
			var digest v1.Hash
			var sent int64
			if digest, sent, failed, err = c.upload(ctx, at, size, write); err == nil {
				return v1.Descriptor{Digest: digest, Size: sent}, false, nil
			}
			if failed || ctx.Err() != nil {
				return v1.Descriptor{}, failed, err
			}
		}
		if n >= originAttempts || !passing(err) {
			return v1.Descriptor{}, false, err
		}
		if err := c.wait(ctx, backoff(n)); err != nil {
			return v1.Descriptor{}, false, err
		}
	}
}

// passing tells failures of an upload that another one may not have.
func passing(err error) bool {
	if late := (*lateError)(nil); errors.As(err, &late) {
		return false
	}
	code := status(err)
	return transient(err) || code >= 500 || code == http.StatusTooManyRequests ||
		code == http.StatusNotFound || code == http.StatusUnauthorized // an upload that a registry has forgotten, a token that has run out under way
}

// begin opens an upload and returns where it goes. With from, another repository of the registry, the registry may take the blob from there; then there is
// nothing left to do, and at is empty.
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#mounting-a-blob-from-another-repository
func (c *Repository) begin(ctx context.Context, digest v1.Hash, from string) (at string, err error) {
	target := "/blobs/uploads/"
	if from != "" {
		target += "?" + url.Values{"mount": {digest.String()}, "from": {from}}.Encode()
	}
	resp, err := c.request(ctx, http.MethodPost, target, nil, nil, 0, http.StatusAccepted, http.StatusCreated)
	if err != nil {
		return "", err
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusCreated {
		return "", nil
	}
	return c.location(resp)
}

// location is where the registry wants the rest of an upload. As with redirects, it cannot lead us to what only this host reaches.
func (c *Repository) location(resp *http.Response) (string, error) {
	to, err := resp.Location()
	if err != nil {
		return "", fmt.Errorf("%w: it says nowhere to upload to", content.ErrUnusable)
	}
	if err := checkReach(c.base.Hostname(), to.Hostname()); err != nil {
		return "", err
	}
	return to.String(), nil
}

// upload sends what write gives to at, and has the registry make a blob of it. size 0 = not known. failed says that write did.
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-a-blob-in-chunks
func (c *Repository) upload(ctx context.Context, at string, size int64, write Payload) (digest v1.Hash, sent int64, failed bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	in, out := io.Pipe()
	type result struct {
		digest v1.Hash
		n      int64
		err    error
	}
	written := make(chan result, 1)
	go func() {
		h, n, err := write(ctx, out)
		out.CloseWithError(err) // nil is the end
		written <- result{h, n, err}
	}()
	body := &sendStall{body: in, timer: time.AfterFunc(time.Hour, func() { cancel(errStalled) })}
	header := http.Header{"Content-Type": {"application/octet-stream"}}
	resp, err := c.request(ctx, http.MethodPatch, at, header, body, size, http.StatusAccepted, http.StatusNoContent, http.StatusCreated)
	body.timer.Stop()
	in.CloseWithError(errStopped) // ends the writer when the registry did not wait for it
	res := <-written
	if err == nil {
		resp.Body.Close()
	}
	switch {
	case res.err != nil && !errors.Is(res.err, errStopped):
		return v1.Hash{}, 0, true, res.err
	case err != nil && errors.Is(context.Cause(ctx), errStalled):
		return v1.Hash{}, 0, false, errStalled
	case err != nil:
		return v1.Hash{}, 0, false, err
	case res.err != nil:
		return v1.Hash{}, 0, false, fmt.Errorf("%w: it took less than it was sent", content.ErrUnusable)
	}
	if at, err = c.location(resp); err != nil {
		return v1.Hash{}, 0, false, err
	}
	u, err := url.Parse(at)
	if err != nil {
		return v1.Hash{}, 0, false, err
	}
	q := u.Query()
	q.Set("digest", res.digest.String())
	u.RawQuery = q.Encode()
	resp, err = c.request(ctx, http.MethodPut, u.String(), nil, nil, 0, http.StatusCreated, http.StatusNoContent)
	if err != nil {
		return v1.Hash{}, 0, false, err
	}
	return res.digest, res.n, false, resp.Body.Close()
}

// errStopped is a registry that has answered before it had everything.
var errStopped = errors.New("the upload was not read to its end")

// sendStall ends a request whose body nobody takes: the timer runs while the network has what was read, not while the next is being made.
type sendStall struct {
	body  *io.PipeReader
	timer *time.Timer
}

func (r *sendStall) Read(p []byte) (int, error) {
	r.timer.Stop()
	n, err := r.body.Read(p)
	if err == nil {
		r.timer.Reset(stallTimeout)
	}
	return n, err
}

// Close is the transport's when it sends no more: whoever writes is told that it is not their fault.
func (r *sendStall) Close() error {
	r.timer.Stop()
	return r.body.CloseWithError(errStopped)
}

// PutManifest names doc in the repository.
func (c *Repository) PutManifest(ctx context.Context, identifier string, doc manifest.Document) error {
	header := http.Header{"Content-Type": {string(doc.Media)}}
	resp, err := c.request(ctx, http.MethodPut, "/manifests/"+identifier, header, strings.NewReader(string(doc.Raw)), 0, http.StatusCreated, http.StatusOK, http.StatusAccepted)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if said := resp.Header.Get("Docker-Content-Digest"); said != "" && said != doc.Digest.String() {
		return fmt.Errorf("%w: it calls the manifest %s, whose digest is %s", content.ErrUnusable, said, doc.Digest)
	}
	return nil
}
