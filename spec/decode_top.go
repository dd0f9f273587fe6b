package spec

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/stackrun/stack/spec/tree"
)

// external is the value of external: true, or the old {name: …}.
type external struct {
	is   bool
	name string
}

var externalFields = fields[external]{
	"name": func(d *decoder, n *tree.Node, e *external) { e.name = d.str(n) },
}

func (d *decoder) external(n *tree.Node) external {
	var e external
	if n.Kind == tree.Mapping {
		e.is = true
		object(d, n, externalFields, &e)
		d.warn(CodeIgnored, n, n.Path+".name is the old spelling", "write external: true and name: "+e.name)
		return e
	}
	e.is = d.boolean(n)
	return e
}

var networkFields = fields[networkDraft]{
	"name":        func(d *decoder, n *tree.Node, v *networkDraft) { v.Name = d.str(n) },
	"driver":      func(d *decoder, n *tree.Node, v *networkDraft) { v.Driver = d.networkDriver(n) },
	"driver_opts": func(d *decoder, n *tree.Node, v *networkDraft) { v.DriverOpts = d.settings(n) },
	"ipam":        func(d *decoder, n *tree.Node, v *networkDraft) { object(d, n, ipamFields, v) },
	"external": func(d *decoder, n *tree.Node, v *networkDraft) {
		v.external = d.external(n)
		v.External = v.external.is
	},
	"internal": func(d *decoder, n *tree.Node, v *networkDraft) { v.Internal = d.boolean(n) },
	"enable_ipv4": func(d *decoder, n *tree.Node, v *networkDraft) {
		b := d.boolean(n)
		v.EnableIPv4 = &b
	},
	"enable_ipv6": func(d *decoder, n *tree.Node, v *networkDraft) { v.EnableIPv6 = d.boolean(n) },
	"attachable":  func(d *decoder, n *tree.Node, v *networkDraft) { v.Attachable = d.boolean(n) },
	"labels":      func(d *decoder, n *tree.Node, v *networkDraft) { v.Labels = d.stringMap(n) },
}

var ipamFields = fields[networkDraft]{
	"driver":  func(d *decoder, n *tree.Node, v *networkDraft) { v.IPAMDriver = d.anyOf(n, "default") },
	"options": func(d *decoder, n *tree.Node, v *networkDraft) { v.IPAMOptions = d.options(n) },
	"config": func(d *decoder, n *tree.Node, v *networkDraft) {
		for _, it := range d.items(n) {
			var p IPAMPool
			if object(d, it, poolFields, &p) {
				d.checkPool(it, p)
				v.IPAM = append(v.IPAM, p)
			}
		}
	},
}

var poolFields = fields[IPAMPool]{
	"subnet":        func(d *decoder, n *tree.Node, p *IPAMPool) { p.Subnet = d.prefix(n) },
	"ip_range":      func(d *decoder, n *tree.Node, p *IPAMPool) { p.IPRange = d.prefix(n) },
	"gateway":       func(d *decoder, n *tree.Node, p *IPAMPool) { p.Gateway = d.anyAddress(n) },
	"aux_addresses": func(d *decoder, n *tree.Node, p *IPAMPool) { p.Aux = d.settings(n) },
}

// networkDraft is a network under decoding.
type networkDraft struct {
	Network
	external external
	key      *tree.Node
	node     *tree.Node
}

func (d *decoder) networkDriver(n *tree.Node) string {
	s := d.str(n)
	switch s {
	case "", "bridge", "default":
		return "bridge"
	case "macvlan", "ipvlan":
		return s
	case "host", "none":
		d.refuse(CodeRefused, n, fmt.Sprintf("%s: there is one network of driver %s, and it is no project's", n.Path, s), "write network_mode: "+s+" in the service")
	case "overlay":
		d.refuse(CodeRefused, n, n.Path+": networks of driver overlay span the hosts of a swarm; this is one host", "use bridge")
	default:
		d.refuse(CodeRefused, n, fmt.Sprintf("%s: there is no network driver %s here", n.Path, s), "use bridge, macvlan or ipvlan")
	}
	return s
}

func (d *decoder) prefix(n *tree.Node) string {
	s := d.str(n)
	if s == "" {
		return ""
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		d.unfit(n, fmt.Sprintf("%q is not a subnet", n.Value), "write ADDRESS/BITS, such as 10.5.0.0/24")
		return n.Value
	}
	if d.in.Purpose != ToRun {
		return n.Value
	}
	return p.Masked().String()
}

func (d *decoder) anyAddress(n *tree.Node) string {
	s := d.str(n)
	if s == "" {
		return ""
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		d.unfit(n, fmt.Sprintf("%q is not an IP address", n.Value), "")
		return n.Value
	}
	return a.String()
}

// checkPool holds range, gateway and reserved addresses against the subnet.
func (d *decoder) checkPool(n *tree.Node, p IPAMPool) {
	subnet, err := netip.ParsePrefix(p.Subnet)
	if err != nil {
		if p.Subnet == "" && (p.IPRange != "" || p.Gateway != "" || len(p.Aux) > 0) {
			d.refuse(CodeMissing, n, n.Path+" has no subnet", "write subnet: ADDRESS/BITS")
		}
		return
	}
	outside := func(key, what string) {
		at := n.Get(key)
		d.refuse(CodeValue, at, fmt.Sprintf("%s: %s is outside the subnet %s", at.Path, what, subnet), "")
	}
	if r, err := netip.ParsePrefix(p.IPRange); err == nil && (!subnet.Contains(r.Addr()) || r.Bits() < subnet.Bits()) {
		outside("ip_range", p.IPRange)
	}
	if g, err := netip.ParseAddr(p.Gateway); err == nil && !subnet.Contains(g) {
		outside("gateway", p.Gateway)
	}
	for _, name := range sortedKeys(p.Aux) {
		if a, err := netip.ParseAddr(p.Aux[name]); err != nil || !subnet.Contains(a) {
			outside("aux_addresses", p.Aux[name])
		}
	}
}

// settings is options whose values must be said: those of drivers.
func (d *decoder) settings(n *tree.Node) map[string]string {
	for _, p := range n.Pairs {
		if p.Value.IsNull() {
			d.want(p.Value, "a string or a number")
		}
	}
	return d.options(n)
}

// options is a mapping of scalars.
func (d *decoder) options(n *tree.Node) map[string]string {
	if n.Kind != tree.Mapping {
		d.want(n, "a mapping")
		return nil
	}
	return d.stringMap(n)
}

var volumeFields = fields[volumeDraft]{
	"name":        func(d *decoder, n *tree.Node, v *volumeDraft) { v.Name = d.str(n) },
	"driver":      func(d *decoder, n *tree.Node, v *volumeDraft) { v.Driver = d.volumeDriver(n) },
	"driver_opts": func(d *decoder, n *tree.Node, v *volumeDraft) { v.DriverOpts = d.settings(n) },
	"external": func(d *decoder, n *tree.Node, v *volumeDraft) {
		v.external = d.external(n)
		v.External = v.external.is
	},
	"labels": func(d *decoder, n *tree.Node, v *volumeDraft) { v.Labels = d.stringMap(n) },
}

// volumeDraft is a volume under decoding.
type volumeDraft struct {
	Volume
	external external
}

func (d *decoder) volumeDriver(n *tree.Node) string {
	s := d.str(n)
	if s != "" && s != "local" {
		d.refuse(CodeRefused, n, fmt.Sprintf("%s: volumes of driver %q are not made: there are no volume plugins", n.Path, s), "use local")
		return s
	}
	return "local"
}

var configFields = fields[fileDraft]{
	"name":            func(d *decoder, n *tree.Node, v *fileDraft) { v.Name = d.str(n) },
	"file":            func(d *decoder, n *tree.Node, v *fileDraft) { v.File = d.str(n); v.say(n) },
	"content":         func(d *decoder, n *tree.Node, v *fileDraft) { v.Content = []byte(d.str(n)); v.say(n) },
	"environment":     func(d *decoder, n *tree.Node, v *fileDraft) { v.Environment = d.str(n); v.say(n) },
	"template_driver": func(d *decoder, n *tree.Node, v *fileDraft) { v.TemplateDriver = d.str(n) },
	"external":        func(d *decoder, n *tree.Node, v *fileDraft) { v.external = d.external(n) },
	"labels":          func(d *decoder, n *tree.Node, v *fileDraft) { v.Labels = d.stringMap(n) },
}

var secretFields = fields[fileDraft]{
	"name":            configFields["name"],
	"file":            configFields["file"],
	"environment":     configFields["environment"],
	"external":        configFields["external"],
	"driver":          func(d *decoder, n *tree.Node, v *fileDraft) { v.Driver = d.str(n) },
	"driver_opts":     func(d *decoder, n *tree.Node, v *fileDraft) { v.DriverOpts = d.settings(n) },
	"template_driver": configFields["template_driver"],
	"labels":          configFields["labels"],
}

// fileDraft is a config or secret under decoding.
type fileDraft struct {
	FileObject
	external external
	said     []*tree.Node // where the content is from: must be one
}

func (v *fileDraft) say(n *tree.Node) { v.said = append(v.said, n) }

// each calls f for the entries of a top-level mapping.
func (d *decoder) each(n *tree.Node, what string, f func(key, value *tree.Node)) {
	if n.IsNull() {
		return
	}
	if n.Kind != tree.Mapping {
		d.want(n, "a mapping")
		return
	}
	for _, p := range n.Pairs {
		if strings.HasPrefix(p.Key.Value, "x-") {
			continue
		}
		d.checkName(p.Key, what)
		d.owner = owner{n.Path, p.Key.Value}
		f(p.Key, p.Value)
	}
}

func (d *decoder) networks(n *tree.Node) {
	d.each(n, "network", func(key, value *tree.Node) {
		v := networkDraft{Network: Network{Key: key.Value, Driver: "bridge"}, key: key, node: value}
		object(d, value, networkFields, &v)
		v.Name = d.realName(key, v.Name, v.external)
		if d.in.Purpose == ToRun {
			v.families(value)
		}
		d.project.Networks[key.Value] = &v.Network
	})
}

// families takes what the driver's options say of IPv4 and IPv6 where the keys for it do not say anything, as docker's engine does.
func (v *networkDraft) families(n *tree.Node) {
	if b, err := strconv.ParseBool(v.DriverOpts["com.docker.network.enable_ipv4"]); err == nil && v.EnableIPv4 == nil {
		v.EnableIPv4 = &b
	}
	if b, err := strconv.ParseBool(v.DriverOpts["com.docker.network.enable_ipv6"]); err == nil && n.Get("enable_ipv6").IsNull() {
		v.EnableIPv6 = b
	}
}

func (d *decoder) volumes(n *tree.Node) {
	d.each(n, "volume", func(key, value *tree.Node) {
		v := volumeDraft{Volume: Volume{Key: key.Value, Driver: "local"}}
		object(d, value, volumeFields, &v)
		v.Name = d.realName(key, v.Name, v.external)
		if v.External {
			for _, p := range value.Pairs {
				if k := p.Key.Value; k != "external" && k != "name" && !strings.HasPrefix(k, "x-") && !p.Value.IsNull() {
					d.err(CodeConflict, p.Key, fmt.Sprintf("%s is external: %s cannot be set", value.Path, k), "remove "+k)
				}
			}
		}
		if hasOption(v.DriverOpts["o"], "bind") {
			if device, ok := v.DriverOpts["device"]; ok {
				v.DriverOpts["device"] = d.path(device)
			}
		}
		d.project.Volumes[key.Value] = &v.Volume
	})
}

// realName is what the object is called on the host.
func (d *decoder) realName(key *tree.Node, name string, e external) string {
	switch {
	case e.name != "" && name != "" && e.name != name:
		d.err(CodeConflict, key, fmt.Sprintf("%s has two names, %q and %q", key.Path, name, e.name), "keep name and write external: true")
		return name
	case name != "" && !e.is:
		return isolatedName(name, d.in.Isolated)
	case name != "":
		return name
	case e.name != "":
		return e.name
	case d.in.Raw.Defaults:
		return ""
	case e.is:
		return key.Value
	}
	return d.loader.project + "_" + key.Value
}

func (d *decoder) files(n *tree.Node, what string, f fields[fileDraft], into map[string]*FileObject) {
	d.each(n, what, func(key, value *tree.Node) {
		v := fileDraft{FileObject: FileObject{Key: key.Value}}
		object(d, value, f, &v)
		v.Name = d.realName(key, v.Name, v.external)
		v.External = v.external.is
		switch {
		case v.External:
			d.refuse(CodeRefused, key, fmt.Sprintf("%s is external: there is no store to take a %s from", key.Path, what), "give it as file or environment")
		case len(v.said) == 0 && value.Kind != tree.Sequence:
			d.err(CodeMissing, key, fmt.Sprintf("%s has no content", key.Path), "write file: PATH or environment: NAME")
		case len(v.said) > 1:
			d.err(CodeConflict, v.said[1], fmt.Sprintf("%s has more than one source of content", key.Path), "keep one of file, environment and content")
		}
		if v.File != "" {
			v.File = d.path(v.File)
		}
		into[key.Value] = &v.FileObject
	})
}
