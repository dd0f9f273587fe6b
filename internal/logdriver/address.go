package logdriver

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Address is where a receiver listens. The zero value is the driver's own default.
type Address struct {
	Scheme string // tcp, tcp+tls, udp, unix or unixgram
	Host   string // with a port: HOST:PORT or [HOST]:PORT
	Path   string // of unix and unixgram
}

// IsZero says that nothing was asked for.
func (a Address) IsZero() bool { return a == Address{} }

func (a Address) String() string { return a.Scheme + "://" + a.Host + a.Path }

// Socket says that it is a path on this host.
func (a Address) Socket() bool { return a.Scheme == "unix" || a.Scheme == "unixgram" }

// ParseAddress reads SCHEME://HOST[:PORT] or unix[gram]:///PATH. port is the one of addresses that have none, 0 = they must have one. "" is the zero Address.
func ParseAddress(text string, port int, schemes ...string) (Address, error) {
	if text == "" {
		return Address{}, nil
	}
	scheme, _, ok := strings.Cut(text, "://")
	if !ok || !slices.Contains(schemes, scheme) {
		return Address{}, fmt.Errorf("expected an address that begins with %s://", strings.Join(schemes, "://, "))
	}
	u, err := url.Parse(text)
	if err != nil {
		return Address{}, fmt.Errorf("it cannot be read as a URL: %w", err)
	}
	a := Address{Scheme: scheme}
	if a.Socket() {
		if u.Host != "" || !path.IsAbs(u.Path) {
			return Address{}, fmt.Errorf("expected the absolute path of a socket: %s:///path", scheme)
		}
		a.Path = u.Path
		return a, nil
	}
	switch {
	case u.Hostname() == "":
		return Address{}, fmt.Errorf("expected a host: %s://HOST:PORT", scheme)
	case u.Path != "" && u.Path != "/" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return Address{}, fmt.Errorf("expected nothing beside host and port: %s://HOST:PORT", scheme)
	case u.Port() == "" && port == 0:
		return Address{}, fmt.Errorf("expected a port: %s://HOST:PORT", scheme)
	}
	p := u.Port()
	if p == "" {
		p = strconv.Itoa(port)
	}
	if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
		return Address{}, fmt.Errorf("port %s is not one: expected 1 to 65535", p)
	}
	a.Host = u.Hostname() + ":" + p
	if strings.Contains(u.Hostname(), ":") {
		a.Host = "[" + u.Hostname() + "]:" + p
	}
	return a, nil
}
