package dns

import (
	"bufio"
	"io"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// Config is what a resolv.conf says: resolv.conf(5).
type Config struct {
	Servers []netip.AddrPort
	Search  []string
	Options []string
}

// parseConfig reads a resolv.conf. Lines that it does not know are left out, as the C library does.
func parseConfig(r io.Reader) Config {
	var c Config
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 2 || f[0][0] == '#' || f[0][0] == ';' {
			continue
		}
		switch f[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(f[1]); err == nil {
				c.Servers = append(c.Servers, netip.AddrPortFrom(a, 53))
			}
		case "search", "domain": // the last of them wins
			c.Search = f[1:]
		case "options":
			c.Options = append(c.Options, f[1:]...)
		}
	}
	return c
}

// HostConfig is the host's resolv.conf, read again when it has changed: a laptop changes networks under running containers.
// A server on loopback (systemd-resolved's 127.0.0.53) is taken as it is, since queries leave from the host's
// own namespace, where it can be reached, and it knows which domain belongs to which VPN.
type HostConfig struct {
	Path string

	mu      sync.Mutex
	checked time.Time
	changed time.Time
	size    int64
	config  Config
}

// Load returns the configuration. It looks at the file at most once a second.
func (h *HostConfig) Load() Config {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if now.Sub(h.checked) < time.Second {
		return h.config
	}
	h.checked = now
	f, err := os.Open(h.Path)
	if err != nil {
		h.config, h.changed = Config{}, time.Time{}
		return h.config
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil {
		if st.ModTime().Equal(h.changed) && st.Size() == h.size {
			return h.config
		}
		h.changed, h.size = st.ModTime(), st.Size()
	}
	h.config = parseConfig(io.LimitReader(f, 64<<10))
	return h.config
}

// Render is the resolv.conf of a container that asks us. ndots:0 makes the resolver try a name as it is before it appends
// the search domains, which is how service names are found at once.
func Render(search, options []string) string {
	var b strings.Builder
	b.WriteString("nameserver " + Addr.String() + "\n")
	if len(search) > 0 {
		b.WriteString("search " + strings.Join(search, " ") + "\n")
	}
	opts := []string{}
	ndots := false
	for _, o := range options {
		ndots = ndots || strings.HasPrefix(o, "ndots:")
		opts = append(opts, o)
	}
	if !ndots {
		opts = append(opts, "ndots:0")
	}
	b.WriteString("options " + strings.Join(opts, " ") + "\n")
	return b.String()
}
