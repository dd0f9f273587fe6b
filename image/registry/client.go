package registry

import (
	"context"
	"net/http"
	"time"

	"github.com/stackrun/stack/image/credentials"
	"github.com/stackrun/stack/internal/reference"
)

// Options of a client.
type Options struct {
	// Mirrors lists, by registry host, where to look before the host itself:
	// {"docker.io": ["http://127.0.0.1:5000", "https://proxy.example/dockerhub"]}.
	Mirrors map[string][]string

	// Insecure are hosts (with or without port) that may be spoken to without TLS or with a certificate that
	// nobody vouches for. Loopback may always be spoken to without TLS.
	Insecure []string

	// Offline asks nobody: everything is refused with the reason.
	Offline bool

	// Getenv looks up the variables that say where credentials are. nil = os.Getenv.
	Getenv func(name string) string

	// Wait pauses before a repetition, and returns the context's cause when that ends first. nil = it waits as long as it is told.
	Wait func(ctx context.Context, d time.Duration) error
}

// Client asks registries and gives to them. Its methods may be called from many goroutines.
type Client struct {
	mirrors     map[string][]endpoint
	insecure    map[string]bool
	credentials credentials.Stored
	transports  struct{ origin, mirror, lax *http.Transport }
	down        downList
	offline     bool
	wait        waiter
}

// New prepares to ask registries: it does no I/O. errdefs.ErrInvalidArgument names a mirror that is none.
func New(opt Options) (*Client, error) {
	c := &Client{insecure: make(map[string]bool), credentials: credentials.New(opt.Getenv), wait: wait, offline: opt.Offline}
	if opt.Wait != nil {
		c.wait = opt.Wait
	}
	for _, host := range opt.Insecure {
		c.insecure[host] = true
	}
	if err := c.parseMirrors(opt.Mirrors); err != nil {
		return nil, err
	}
	c.transports.origin = newTransport(dialTimeout, false)
	c.transports.mirror = newTransport(mirrorTimeout, false)
	c.transports.lax = newTransport(dialTimeout, true)
	return c, nil
}

// Close lets go of connections that nobody uses. The client is not used afterwards.
func (c *Client) Close() {
	for _, t := range []*http.Transport{c.transports.origin, c.transports.mirror, c.transports.lax} {
		t.CloseIdleConnections()
	}
}

// Pin is ref with the digest of what its tag names now: of an image for several platforms the digest that is that of all. One
// that says a digest is given back as it is. note is told what is odd and no error, such as a mirror that does not answer.
func (c *Client) Pin(ctx context.Context, ref string, note func(string)) (reference.Reference, error) {
	parsed, err := reference.Parse(ref)
	if err != nil || parsed.HasDigest() {
		return parsed, err
	}
	doc, err := c.Source(parsed, nil, note).Manifest(ctx, parsed.Identifier())
	if err != nil {
		return reference.Reference{}, err
	}
	parsed.Digest = doc.Digest
	return parsed, nil
}
