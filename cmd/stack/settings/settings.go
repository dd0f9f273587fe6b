// Package settings reads the daemon's configuration file.
package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// DefaultPath is read when neither --config nor STACK_CONFIG names another file. It may be missing.
const DefaultPath = "/etc/stack/config.yaml"

// Settings are the daemon's. The zero value is what holds without a file.
type Settings struct {
	Registries Registries
	// AddressPools are where networks without a subnet of their own get one.
	AddressPools []Pool
	// DNS are the servers that names which are not ours are asked of; empty = the host's.
	DNS []netip.Addr
	// NoHealing leaves what other hands have damaged as it is, for `drift` to name and `up` to mend; after a reboot containers come up as
	// their restart policies say.
	NoHealing bool
	// Offline fetches nothing: no registry is asked, whoever wants it.
	Offline bool
	// KeepVolumes is how long volumes that are removed can be brought back; 0 = not at all.
	KeepVolumes time.Duration
}

// Registries says how images are fetched.
type Registries struct {
	Mirrors  map[string][]string // registry → base URLs, tried in order before the registry itself
	Insecure []string            // registries that are asked over plain HTTP
}

// Pool is cut into subnets of Size bits of prefix.
type Pool struct {
	Base netip.Prefix
	Size int
}

// Read reads path. A missing file is an error unless path is DefaultPath.
func Read(path string) (Settings, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && path == DefaultPath {
		return Settings{}, nil
	}
	if err != nil {
		return Settings{}, fmt.Errorf("cannot read the configuration: %w", err)
	}
	return Parse(path, text)
}

// Parse reads text; name is for messages. All faults are reported, each with its line and column.
func Parse(name string, text []byte) (Settings, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return Settings{}, fmt.Errorf("cannot read the configuration: %s: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	p := parser{name: name}
	if len(doc.Content) > 0 {
		p.root(doc.Content[0])
	}
	if len(p.faults) > 0 {
		return Settings{}, fmt.Errorf("cannot read the configuration:\n%w", errors.Join(p.faults...))
	}
	return p.s, nil
}

type parser struct {
	name   string
	s      Settings
	faults []error
}

func (p *parser) fault(n *yaml.Node, format string, args ...any) {
	p.faults = append(p.faults, fmt.Errorf("%s:%d:%d: %s", p.name, n.Line, n.Column, fmt.Sprintf(format, args...)))
}

// each calls the function of every key of the mapping n; a key without one is a fault.
func (p *parser) each(n *yaml.Node, what string, keys []string, value func(key string, v *yaml.Node)) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		p.fault(n, "%s: expected a mapping", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case seen[key.Value]:
			p.fault(key, "%s: key %q is there twice", what, key.Value)
		case keys != nil && !slices.Contains(keys, key.Value):
			p.fault(key, "%s: unknown key %q, expected %s", what, key.Value, strings.Join(keys, ", "))
		default:
			value(key.Value, n.Content[i+1])
		}
		seen[key.Value] = true
	}
}

func (p *parser) list(n *yaml.Node, what string, item func(v *yaml.Node)) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.SequenceNode {
		p.fault(n, "%s: expected a list", what)
		return
	}
	for _, v := range n.Content {
		item(v)
	}
}

func (p *parser) text(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Value == "" {
		p.fault(n, "%s: expected a text", what)
		return "", false
	}
	return n.Value, true
}

func (p *parser) yes(n *yaml.Node, what string) (on bool) {
	if err := n.Decode(&on); err != nil {
		p.fault(n, "%s: expected true or false but got %q", what, n.Value)
	}
	return on
}

func (p *parser) root(n *yaml.Node) {
	p.each(n, "configuration", []string{"registries", "address-pools", "dns", "healing", "keep-removed-volumes", "offline"}, func(key string, v *yaml.Node) {
		switch key {
		case "registries":
			p.registries(v)
		case "address-pools":
			p.list(v, key, p.pool)
		case "healing":
			p.s.NoHealing = !p.yes(v, key)
		case "offline":
			p.s.Offline = p.yes(v, key)
		case "keep-removed-volumes":
			keep, err := time.ParseDuration(v.Value)
			if err != nil || keep < 0 {
				p.fault(v, "keep-removed-volumes: expected a duration such as 24h but got %q", v.Value)
			}
			p.s.KeepVolumes = max(keep, 0)
		case "dns":
			p.list(v, key, func(v *yaml.Node) {
				if addr, err := netip.ParseAddr(v.Value); err != nil {
					p.fault(v, "dns: expected an IP address but got %q", v.Value)
				} else {
					p.s.DNS = append(p.s.DNS, addr)
				}
			})
		}
	})
}

func (p *parser) registries(n *yaml.Node) {
	p.each(n, "registries", []string{"mirrors", "insecure"}, func(key string, v *yaml.Node) {
		switch key {
		case "insecure":
			p.list(v, "registries.insecure", func(v *yaml.Node) {
				if host, ok := p.text(v, "registries.insecure"); ok {
					p.s.Registries.Insecure = append(p.s.Registries.Insecure, host)
				}
			})
		case "mirrors":
			p.s.Registries.Mirrors = map[string][]string{}
			p.each(v, "registries.mirrors", nil, func(registry string, v *yaml.Node) {
				p.list(v, "registries.mirrors."+registry, func(v *yaml.Node) {
					u, err := url.Parse(v.Value)
					if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
						p.fault(v, "registries.mirrors.%s: expected an http or https URL but got %q", registry, v.Value)
						return
					}
					p.s.Registries.Mirrors[registry] = append(p.s.Registries.Mirrors[registry], v.Value)
				})
			})
		}
	})
}

func (p *parser) pool(n *yaml.Node) {
	var pool Pool
	p.each(n, "address-pools", []string{"base", "size"}, func(key string, v *yaml.Node) {
		switch key {
		case "base":
			base, err := netip.ParsePrefix(v.Value)
			if err != nil {
				p.fault(v, "address-pools: expected a prefix such as 10.201.0.0/16 but got %q", v.Value)
				return
			}
			pool.Base = base.Masked()
		case "size":
			if err := v.Decode(&pool.Size); err != nil {
				p.fault(v, "address-pools: expected a length of prefix such as 26 but got %q", v.Value)
			}
		}
	})
	if !pool.Base.IsValid() {
		return
	}
	// Two addresses and the bridge's own are the least that a network is good for.
	if most := pool.Base.Addr().BitLen() - 2; pool.Size < pool.Base.Bits() || pool.Size > most {
		p.fault(n, "address-pools: size %d of %s: expected %d to %d", pool.Size, pool.Base, pool.Base.Bits(), most)
		return
	}
	p.s.AddressPools = append(p.s.AddressPools, pool)
}
