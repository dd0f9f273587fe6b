package spec

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/stackrun/stack/spec/tree"
)

// ParsePorts reads the short form of ports, [IP:][HOST[-HOST]:]CONTAINER[-CONTAINER][/PROTOCOL],
// and expands its ranges. Two ranges must be of one length; a range of host ports for
// one container port means any free one of them.
func ParsePorts(s string) ([]Port, error) {
	rest, proto, hasProto := strings.Cut(s, "/")
	if !hasProto {
		proto = "tcp"
	}
	if err := checkProtocol(proto); err != nil {
		return nil, err
	}
	ip, host, ctr := "", "", rest
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		host, ctr = rest[:i], rest[i+1:]
		if j := strings.LastIndexByte(host, ':'); j >= 0 {
			ip, host = host[:j], host[j+1:] // no address, as of ":80:80", is every address: "${BIND:-}:80:80" is common
		}
	}
	ip, err := hostIP(ip)
	if err != nil {
		return nil, err
	}
	first, last, err := portRange(ctr)
	if err != nil {
		return nil, err
	}
	if host == "" {
		return expand(Port{HostIP: ip, Protocol: proto}, first, last, 0, 0)
	}
	from, to, err := portRange(host)
	if err != nil {
		return nil, err
	}
	return expand(Port{HostIP: ip, Protocol: proto}, first, last, from, to)
}

func checkProtocol(proto string) error {
	switch proto {
	case "tcp", "udp", "sctp":
		return nil
	}
	return fmt.Errorf("%q is not a protocol: use tcp or udp", proto)
}

func hostIP(s string) (string, error) {
	if strings.HasPrefix(s, "[") == strings.HasSuffix(s, "]") {
		s = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	}
	if s == "" {
		return "", nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return "", fmt.Errorf("%q is not an IP address", s)
	}
	return a.String(), nil
}

// portRange reads N or N-M.
func portRange(s string) (first, last int, err error) {
	a, b, isRange := strings.Cut(s, "-")
	if first, err = portNumber(a); err != nil {
		return 0, 0, err
	}
	last = first
	if isRange {
		if last, err = portNumber(b); err != nil {
			return 0, 0, err
		}
		if last < first {
			return 0, 0, fmt.Errorf("the range %s ends before it starts", s)
		}
	}
	return first, last, nil
}

func portNumber(s string) (int, error) {
	v, err := strconv.ParseUint(s, 10, 16)
	if err != nil || v == 0 && s != "0" {
		return 0, fmt.Errorf("%q is not a port: use 1 to 65535", s)
	}
	return int(v), nil
}

func expand(p Port, first, last, from, to int) ([]Port, error) {
	if first == 0 {
		return nil, fmt.Errorf("the container's port is 0: use 1 to 65535")
	}
	switch {
	case from == 0 && to > 0:
		return nil, fmt.Errorf("a range of host ports starts at 0")
	case first == last:
		p.Target, p.Published = uint16(first), uint16(from)
		if to > from {
			p.PublishedEnd = uint16(to)
		}
		return []Port{p}, nil
	case from != 0 && to-from != last-first:
		return nil, fmt.Errorf("the ranges differ in length: %d host ports for %d container ports", to-from+1, last-first+1)
	}
	out := make([]Port, 0, last-first+1)
	for i := 0; i <= last-first; i++ {
		p.Target = uint16(first + i)
		if from != 0 {
			p.Published = uint16(from + i)
		}
		out = append(out, p)
	}
	return out, nil
}

// longPort is the mapping form of one entry.
type longPort struct {
	Port
	target, published *tree.Node
}

var portFields = fields[longPort]{
	"target":    func(d *decoder, n *tree.Node, p *longPort) { p.target = n },
	"published": func(d *decoder, n *tree.Node, p *longPort) { p.published = n },
	"host_ip": func(d *decoder, n *tree.Node, p *longPort) {
		ip, err := hostIP(d.str(n))
		if err != nil {
			d.bad(n, err.Error(), "")
		}
		p.HostIP = ip
	},
	"protocol": func(d *decoder, n *tree.Node, p *longPort) {
		if p.Protocol = d.str(n); p.Protocol != "" {
			proto := strings.ToLower(p.Protocol)
			if err := checkProtocol(proto); err != nil {
				d.unfit(n, err.Error(), "")
			}
			if d.in.Purpose == ToRun {
				p.Protocol = proto
			}
		}
	},
	"mode":         func(d *decoder, n *tree.Node, p *longPort) { p.Mode = d.anyOf(n, "ingress", "host") },
	"app_protocol": func(d *decoder, n *tree.Node, p *longPort) { p.AppProtocol = d.str(n) },
	"name":         func(d *decoder, n *tree.Node, p *longPort) { p.Name = d.str(n) },
}

// ports decodes all entries, expanded; exact repetitions are dropped.
func (d *decoder) ports(n *tree.Node) []Port {
	var out []Port
	type key struct {
		ip, proto            string
		published, end, port uint16
	}
	seen := map[key]bool{}
	for _, it := range d.items(n) {
		// A range is a few letters in the file and a port for each of its numbers here, which takes what a few values do.
		ports := d.port(it)
		if len(ports) > 1 && !d.spend(3*len(ports), it) {
			return nil
		}
		for _, p := range ports {
			if p.Protocol == "sctp" {
				d.refuse(CodeRefused, it, it.Path+": sctp ports are not published yet", "use tcp or udp")
			}
			k := key{p.HostIP, p.Protocol, p.Published, p.PublishedEnd, p.Target}
			if seen[k] {
				continue
			}
			seen[k] = true
			at := n.Path + "[" + itoa(len(out)) + "]"
			d.source(at, it)
			if p.Published == 0 && it.Kind == tree.Scalar && saysHostPort(d.text(it)) {
				d.source(at+".published", it) // config shows it: "0:80"
			}
			out = append(out, p)
		}
	}
	return out
}

// saysHostPort says whether a short form has a host port, be it 0.
func saysHostPort(s string) bool {
	i := strings.LastIndexByte(s, ':')
	return i > 0 && s[i-1] != ':'
}

func (d *decoder) port(n *tree.Node) []Port {
	const form = "write [IP:][HOST:]CONTAINER[/PROTOCOL] in quotes, such as \"127.0.0.1:8080:80\""
	if n.Kind == tree.Scalar {
		ports, err := ParsePorts(d.text(n))
		if err != nil {
			d.bad(n, err.Error(), form)
		}
		for i := range ports {
			ports[i].Mode = "ingress"
		}
		return ports
	}
	p := longPort{Port: Port{Protocol: "tcp", Mode: "ingress"}}
	if !object(d, n, portFields, &p) {
		return nil
	}
	if p.target == nil {
		d.err(CodeMissing, n, n.Path+" has no target", "write target: the port in the container")
		return nil
	}
	p.Target = uint16(d.integer(p.target, 1, 65535))
	if p.published != nil && (p.published.Kind != tree.Scalar || p.published.Value != "") { // what "${PORT}" gives where it is not set
		from, to, err := portRange(d.text(p.published))
		if err != nil {
			d.bad(p.published, err.Error(), "")
			return nil
		}
		p.Published = uint16(from)
		if to > from {
			p.PublishedEnd = uint16(to)
		}
	}
	if p.Target == 0 {
		return nil
	}
	return []Port{p.Port}
}

// expose checks PORT[-PORT][/PROTOCOL]; nothing is published for it.
func (d *decoder) expose(n *tree.Node) []string {
	for _, it := range d.items(n) {
		text, proto, has := strings.Cut(d.text(it), "/")
		if text == "" {
			d.unfit(it, "the port is empty", "")
			continue
		}
		if _, _, err := portRange(text); err != nil {
			d.bad(it, err.Error(), "")
		} else if has && proto != "tcp" && proto != "udp" && proto != "sctp" {
			d.bad(it, fmt.Sprintf("%q is not a protocol: use tcp, udp or sctp", proto), "")
		}
	}
	return unique(d.items(n), d.text)
}
