package spec

import (
	"cmp"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/stackrun/stack/spec/tree"
)

var endpointFields = fields[Endpoint]{
	"aliases":        func(d *decoder, n *tree.Node, e *Endpoint) { e.Aliases = unique(d.items(n), d.str) },
	"ipv4_address":   func(d *decoder, n *tree.Node, e *Endpoint) { e.IPv4 = d.address(n, true) },
	"ipv6_address":   func(d *decoder, n *tree.Node, e *Endpoint) { e.IPv6 = d.address(n, false) },
	"link_local_ips": func(d *decoder, n *tree.Node, e *Endpoint) { e.LinkLocal = unique(d.items(n), d.furtherAddress) },
	"driver_opts":    func(d *decoder, n *tree.Node, e *Endpoint) { e.DriverOpts = d.settings(n) },
	"mac_address":    func(d *decoder, n *tree.Node, e *Endpoint) { e.MacAddress = d.mac(n) },
	"interface_name": func(d *decoder, n *tree.Node, e *Endpoint) { e.InterfaceName = d.interfaceName(n) },
	"priority": func(d *decoder, n *tree.Node, e *Endpoint) {
		e.Priority = int(d.integer(n, math.MinInt32, math.MaxInt32))
	},
	"gw_priority": func(d *decoder, n *tree.Node, e *Endpoint) {
		e.GwPriority = int(d.integer(n, math.MinInt32, math.MaxInt32))
	},
}

// endpoints decodes a service's networks: a list of names or a mapping.
func (d *decoder) endpoints(n *tree.Node) map[string]*Endpoint {
	out := map[string]*Endpoint{}
	switch n.Kind {
	case tree.Sequence:
		for _, it := range n.Items {
			name := d.str(it)
			if _, twice := out[name]; twice {
				d.err(CodeDuplicate, it, fmt.Sprintf("%s: %q is there twice", n.Path, name), "remove one")
			}
			out[name] = &Endpoint{}
			d.source(n.Path+"."+name, it)
		}
	case tree.Mapping:
		for _, p := range n.Pairs {
			e := &Endpoint{Written: d.in.Purpose == ToShow && p.Value.Kind == tree.Mapping}
			object(d, p.Value, endpointFields, e)
			out[p.Key.Value] = e
		}
	default:
		d.want(n, "a mapping or a list of names")
	}
	return out
}

// address is one of the version that is asked for, "" for an empty text: a file writes it for a variable, and docker compose takes one that is not set for any address.
func (d *decoder) address(n *tree.Node, v4 bool) string {
	s := d.str(n)
	if s == "" {
		return ""
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Is4() != v4 {
		what := "an IPv6"
		if v4 {
			what = "an IPv4"
		}
		d.unfit(n, fmt.Sprintf("%q is not %s address", n.Value, what), "")
		return n.Value
	}
	return a.String()
}

// furtherAddress is an entry of link_local_ips, which despite its name may be any address that a host can have: the specification's own example is none of
// RFC 3927 or RFC 4291.
func (d *decoder) furtherAddress(n *tree.Node) string {
	s := d.str(n)
	a, err := netip.ParseAddr(s)
	if err != nil || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.Zone() != "" {
		d.unfit(n, fmt.Sprintf("%q is not an address that an interface can have", n.Value), "write one such as 169.254.8.8 or fe80::8")
	}
	return s
}

func (d *decoder) addresses(n *tree.Node) []string {
	var out []string
	for _, it := range d.many(n) {
		s := d.str(it)
		if s == "" {
			continue
		}
		a, err := netip.ParseAddr(s)
		if err != nil {
			d.unfit(it, fmt.Sprintf("%q is not an IP address", s), "")
			out = append(out, s)
			continue
		}
		out = append(out, a.String())
	}
	return dedup(out)
}

func dedup(list []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

func (d *decoder) mac(n *tree.Node) string {
	s := d.str(n)
	if s == "" {
		return ""
	}
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != 6 {
		d.unfit(n, fmt.Sprintf("%q is not a MAC address", n.Value), "write six bytes, such as 02:42:ac:11:00:02")
		return n.Value
	}
	if hw[0]&1 != 0 {
		d.unfit(n, fmt.Sprintf("%q is a multicast address", n.Value), "the first byte must be even")
	}
	return n.Value
}

func (d *decoder) interfaceName(n *tree.Node) string {
	s := d.str(n)
	// IFNAMSIZ is 16 with the final zero; the kernel refuses / : and blanks.
	if s == "" {
		return ""
	}
	if len(s) > 15 || strings.ContainsAny(s, "/: \t\n") || s == "." || s == ".." || s == "lo" {
		d.unfit(n, fmt.Sprintf("%q is not the name of an interface", s), "use at most 15 characters without /, : and blanks")
	}
	return s
}

func (d *decoder) networkMode(n *tree.Node) string {
	s := d.str(n)
	switch {
	case s == "", s == "none", s == "host", s == "bridge", s == "default", ofService(s), ofContainer(s):
	case !keyName.MatchString(s):
		d.unfit(n, fmt.Sprintf("%q is not known", s), "use none, host, service:NAME, container:NAME or the name of a network of this host")
	}
	return s
}

// joinByName puts s on the network whose name on the host is its network_mode, as docker's engine takes one that is no other word: one of this file, or one that is there.
func (d *decoder) joinByName(s *draft) {
	name, n := s.NetworkMode, s.node.Get("network_mode")
	switch {
	case name == "", name == "none", name == "host", ofService(name), ofContainer(name):
		return
	}
	s.NetworkMode = ""
	for _, key := range sortedKeys(d.project.Networks) {
		network := d.project.Networks[key]
		if network.Name == name && network.External || network.Name == isolatedName(name, d.in.Isolated) && !network.External {
			s.Networks = map[string]*Endpoint{key: {}}
			return
		}
	}
	if own := d.project.Networks[name]; own != nil {
		d.refuse(CodeConflict, n, fmt.Sprintf("%s: %q is a network of this file, whose name on the host is %s", n.Path, name, own.Name), "write networks: ["+name+"]")
		return
	}
	d.project.Networks[name] = &Network{Key: name, Name: name, External: true}
	d.source("networks."+name, n)
	s.Networks = map[string]*Endpoint{name: {}}
}

// namespace takes one of the words, service:NAME or container:NAME.
func (d *decoder) namespace(n *tree.Node, words ...string) string {
	s := d.str(n)
	if s == "" || ofService(s) || ofContainer(s) {
		return s
	}
	return d.anyOf(n, append(words, "service:NAME", "container:NAME")...)
}

func ofService(mode string) bool {
	return strings.HasPrefix(mode, "service:") && len(mode) > len("service:")
}
func ofContainer(mode string) bool {
	return strings.HasPrefix(mode, "container:") && len(mode) > len("container:")
}

// link is one entry of links.
type link struct {
	service, alias string
	node           *tree.Node
}

// linksOf decodes links into what they name, and the texts.
func (d *decoder) linksOf(n *tree.Node) (out []link, texts []string) {
	for _, it := range d.items(n) {
		service, alias, ok := strings.Cut(d.str(it), ":")
		if !ok {
			alias = service
		}
		if service == "" || alias == "" {
			d.bad(it, fmt.Sprintf("%q is not SERVICE[:ALIAS]", it.Value), "")
			continue
		}
		out = append(out, link{service, alias, it})
		if !slices.Contains(texts, it.Value) {
			texts = append(texts, it.Value)
		}
	}
	return out, texts
}

// extraHosts decodes a mapping of name to addresses, or a list of NAME=ADDRESS or NAME:ADDRESS.
func (d *decoder) extraHosts(n *tree.Node) []HostEntry {
	var out []HostEntry
	add := func(at *tree.Node, host, addr string) {
		addr = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(addr), "["), "]")
		host = strings.TrimSpace(host)
		if host == "" {
			d.bad(at, "the host has no name", "write NAME=ADDRESS, or NAME=host-gateway")
			return
		}
		if addr != "host-gateway" {
			if _, err := netip.ParseAddr(addr); err != nil {
				d.unfit(at, fmt.Sprintf("%q for %q is not an IP address", addr, host), "write NAME=ADDRESS, or NAME=host-gateway")
			}
		}
		e := HostEntry{host, addr}
		for _, o := range out {
			if o == e {
				return
			}
		}
		out = append(out, e)
	}
	switch n.Kind {
	case tree.Mapping:
		for _, p := range n.Pairs {
			for _, it := range d.many(p.Value) {
				add(it, p.Key.Value, d.text(it))
			}
		}
	case tree.Sequence:
		for _, it := range n.Items {
			text := d.str(it)
			i := strings.IndexByte(text, '=')
			if i < 0 {
				i = strings.IndexByte(text, ':')
			}
			if i < 0 {
				d.bad(it, fmt.Sprintf("%q is not NAME=ADDRESS", text), "")
				continue
			}
			for addr := range strings.SplitSeq(text[i+1:], ",") {
				add(it, text[:i], addr)
			}
		}
	default:
		d.want(n, "a mapping or a list")
	}
	if d.in.Purpose == ToShow { // docker compose keeps them by name and shows them sorted
		slices.SortFunc(out, func(a, b HostEntry) int {
			return cmp.Or(strings.Compare(a.Host, b.Host), strings.Compare(a.Address, b.Address))
		})
	}
	return out
}
