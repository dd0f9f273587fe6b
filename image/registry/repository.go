package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/stackrun/stack/image/credentials"
)

// Repository is an authorised connection to one repository at one endpoint.
type Repository struct {
	endpoint endpoint
	client   *http.Client
	base     url.URL // …/v2/<repo>
	warning  string  // why it is anonymous although credentials are configured
	wait     waiter
}

const (
	dialTimeout   = 10 * time.Second
	mirrorTimeout = 3 * time.Second // the origin is waiting
	headerTimeout = 60 * time.Second
)

func newTransport(dial time.Duration, lax bool) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dial, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       &tls.Config{InsecureSkipVerify: lax}, //nolint:gosec // only for hosts of registries.insecure
		TLSHandshakeTimeout:   dial,
		ResponseHeaderTimeout: headerTimeout,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       30 * time.Second,
		// A layer is stored as it is; transparent gzip would change its digest.
		DisableCompression: true,
		ReadBufferSize:     64 << 10,
	}
}

// access is what a connection is to be good for.
type access struct {
	auth *credentials.Auth // nil = what this host has stored
	push bool              // not pulling alone
	from []string          // repositories of the same registry, to take blobs from
}

// connect does the registry's authorisation handshake for repo.
func (c *Client) connect(ctx context.Context, ep endpoint, repo string, want access) (*Repository, error) {
	if c.offline {
		return nil, errOffline
	}
	opts := []name.Option{}
	if ep.plain {
		opts = append(opts, name.Insecure)
	}
	reg, err := name.NewRegistry(ep.host, opts...)
	if err != nil {
		return nil, err
	}
	var auth authn.Authenticator
	var warning string
	if want.auth != nil && !ep.mirror {
		auth = want.auth.Authenticator()
	} else {
		auth, warning = c.credentials.Lookup(ctx, ep.host)
	}

	base := c.transports.origin
	switch {
	case ep.lax:
		base = c.transports.lax
	case ep.mirror:
		base = c.transports.mirror
	}
	attempts := originAttempts
	if ep.mirror {
		attempts = mirrorAttempts
	}
	guarded := &schemeGuard{base: base, host: ep.host, endpoint: ep}
	scope := transport.PullScope
	if want.push {
		scope = transport.PushScope
	}
	scopes := []string{reg.Repo(ep.repo(repo)).Scope(scope)}
	for _, from := range want.from {
		scopes = append(scopes, reg.Repo(from).Scope(transport.PullScope))
	}
	rt, err := transport.NewWithContext(ctx, reg, auth, &retrier{base: guarded, attempts: attempts, wait: c.wait}, scopes)
	if err != nil {
		return nil, err
	}
	return &Repository{
		endpoint: ep,
		client:   &http.Client{Transport: rt, CheckRedirect: checkRedirect},
		// The library puts in the scheme that answered.
		base:    url.URL{Scheme: "https", Host: ep.host, Path: "/v2/" + ep.repo(repo)},
		warning: warning,
		wait:    c.wait,
	}, nil
}

// ping asks ep for its API, with auth and for no repository.
func (c *Client) ping(ctx context.Context, ep endpoint, auth credentials.Auth) error {
	if c.offline {
		return errOffline
	}
	opts := []name.Option{}
	if ep.plain {
		opts = append(opts, name.Insecure)
	}
	reg, err := name.NewRegistry(ep.host, opts...)
	if err != nil {
		return err
	}
	base := c.transports.origin
	if ep.lax {
		base = c.transports.lax
	}
	guarded := &retrier{base: &schemeGuard{base: base, host: ep.host, endpoint: ep}, attempts: mirrorAttempts, wait: c.wait}
	rt, err := transport.NewWithContext(ctx, reg, auth.Authenticator(), guarded, nil)
	if err != nil {
		return err
	}
	// As in connect, the scheme that answered is put in.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, (&url.URL{Scheme: "https", Host: ep.host, Path: "/v2/"}).String(), nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: rt, CheckRedirect: checkRedirect}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return transport.CheckError(resp, http.StatusOK)
}

// Warning is why the connection is anonymous although credentials are configured; "" when it is not, or there is no connection.
func (c *Repository) Warning() string {
	if c == nil {
		return ""
	}
	return c.warning
}

// get does one GET below the repository. The caller closes the body.
func (c *Repository) get(ctx context.Context, path string, header http.Header, ok ...int) (*http.Response, error) {
	return c.request(ctx, http.MethodGet, path, header, nil, 0, ok...)
}

// errPlainHTTP is a registry that answers without TLS and is not allowed to.
var errPlainHTTP = errors.New("speaks http without TLS")

// schemeGuard refuses schemes that the configuration does not allow. The library decides by itself that private
// addresses may be spoken to without TLS, and with credentials; that is for the user to say.
type schemeGuard struct {
	base     http.RoundTripper
	host     string
	endpoint endpoint
}

func (g *schemeGuard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host == g.host {
		switch {
		case req.URL.Scheme == "http" && !g.endpoint.plain:
			return nil, errPlainHTTP
		case req.URL.Scheme == "https" && g.endpoint.scheme == "http":
			return nil, errTLSNotWanted
		}
	}
	return g.base.RoundTrip(req)
}

var errTLSNotWanted = errors.New("configured with http")

// checkRedirect lets a registry send us to its storage but not to addresses that only this host can reach: a
// cloud's metadata service answers on a link-local address.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("more than 10 redirects")
	}
	return checkReach(via[0].URL.Hostname(), req.URL.Hostname())
}

// checkReach says whether the registry at from may send us to the host to.
func checkReach(from, to string) error {
	ip := net.ParseIP(to)
	if from == to || ip == nil || !(ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified()) {
		return nil
	}
	if origin := net.ParseIP(from); from == "localhost" || origin != nil && (origin.IsPrivate() || origin.IsLoopback()) {
		if !ip.IsLinkLocalUnicast() {
			return nil
		}
	}
	return fmt.Errorf("redirect from %s to the private address %s refused", from, to)
}
