package registry

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/stackrun/stack/image/credentials"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

// endpoint is one place that may have the repositories of a host: a mirror or the host itself.
type endpoint struct {
	host   string // to connect to, with port
	prefix string // goes before the repository: a proxy that keeps many registries has one for each
	scheme string // "http" or "https" when the configuration says so, "" otherwise
	mirror bool

	// plain allows http without TLS; lax allows a certificate that nobody vouches for.
	plain, lax bool
}

func (e endpoint) describe() string {
	if e.mirror {
		return "mirror " + e.host
	}
	return e.host
}

func (e endpoint) repo(name string) string {
	if e.prefix == "" {
		return name
	}
	return e.prefix + "/" + name
}

// endpoints lists where host's repositories may be: its mirrors in the order of the configuration, then host itself.
func (c *Client) endpoints(host string) []endpoint {
	list := append([]endpoint(nil), c.mirrors[host]...)
	origin := endpoint{host: host}
	if host == reference.DefaultHost {
		origin.host = credentials.DockerHub
	}
	return append(list, c.trust(origin))
}

// trust applies the list of insecure registries, and lets loopback be reached without TLS.
func (c *Client) trust(e endpoint) endpoint {
	if c.insecure[e.host] || c.insecure[hostname(e.host)] {
		e.plain, e.lax = true, true
	}
	if isLoopback(e.host) {
		e.plain = true
	}
	switch e.scheme {
	case "http":
		e.plain = true
	case "https":
		e.plain = false
	}
	return e
}

// parseMirrors checks registries.mirrors: values are http://host[:port][/prefix], https://… or host[:port][/prefix].
func (c *Client) parseMirrors(mirrors map[string][]string) error {
	c.mirrors = make(map[string][]endpoint, len(mirrors))
	for host, list := range mirrors {
		host = strings.ToLower(host)
		if host == "index.docker.io" || host == "registry-1.docker.io" {
			host = reference.DefaultHost
		}
		for _, value := range list {
			full := value
			if !strings.Contains(value, "://") {
				full = "//" + value
			}
			u, err := url.Parse(full)
			if err == nil && (u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" || !reference.IsHost(u.Host)) {
				err = fmt.Errorf("expected http://host[:port][/prefix] or https://…")
			}
			prefix := ""
			if err == nil {
				prefix = strings.Trim(u.Path, "/")
				if prefix != "" && !reference.IsRepo(prefix) {
					err = fmt.Errorf("%q cannot begin a repository's name", prefix)
				}
			}
			if err != nil {
				return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot use mirror %q of %s: %w", value, host, err))
			}
			c.mirrors[host] = append(c.mirrors[host],
				c.trust(endpoint{host: strings.ToLower(u.Host), prefix: prefix, scheme: u.Scheme, mirror: true}))
		}
	}
	return nil
}

func hostname(hostport string) string {
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		return h
	}
	return strings.Trim(hostport, "[]")
}

func isLoopback(hostport string) bool {
	h := hostname(hostport)
	ip := net.ParseIP(h)
	return h == "localhost" || ip != nil && ip.IsLoopback()
}
