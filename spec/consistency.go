package spec

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/spec/tree"
)

// consistency checks what no single key can tell: references, cycles, clashes
// between services. All of it is about active services only.
func (d *decoder) consistency() {
	d.nameContainers()
	for _, name := range sortedKeys(d.project.Services) {
		s := d.drafts[name]
		d.owner = owner{"services", name}
		d.checkNetworks(s)
		d.checkModels(s)
		d.checkDependencies(s)
		d.checkContexts(s)
		d.checkSharedPids(s)
		d.checkProvided(s)
		d.checkMounts(s)
		d.checkFiles(s, "configs", "config", s.Configs, d.project.Configs, "configs")
		d.checkFiles(s, "secrets", "secret", s.Secrets, d.project.Secrets, "secrets")
		if s.Build != nil {
			d.checkFiles(s, "secrets", "secret", s.Build.Secrets, d.project.Secrets, "build", "secrets")
		}
	}
	d.checkCycles()
	d.checkContainerNames()
	d.checkPublished()
	d.checkAddresses()
}

// child is the node of a value below a service: for places. It falls back to what is there.
func (s *draft) child(keys ...string) *tree.Node {
	n := s.key
	at := s.node
	for _, k := range keys {
		p := at.Pair(k)
		if p == nil {
			if at != nil && at.Kind == tree.Sequence {
				for _, it := range at.Items {
					if it.Value == k || it.Get("source") != nil && it.Get("source").Value == k {
						return it
					}
				}
			}
			return n
		}
		n, at = p.Key, p.Value
	}
	return n
}

// checkProvided says what has no meaning for a service that has no container, and refuses what needs one of it.
func (d *decoder) checkProvided(s *draft) {
	for _, key := range []struct{ name, mode string }{{"network_mode", s.NetworkMode}, {"pid", s.PID}, {"ipc", s.IPC}} {
		if by := d.project.Services[needsOf(key.mode)]; by != nil && by.Provider != nil {
			d.refuse(CodeConflict, s.child(key.name), fmt.Sprintf("service %q is to live in a namespace of %q, which has no container: %s provides it", s.Name, by.Name, by.Provider.Type), "")
		}
	}
	if s.Provider == nil || s.Provider.Type == "" {
		return
	}
	for _, p := range s.node.Pairs {
		switch p.Key.Value {
		case "provider", "depends_on", "profiles", "extends":
		default:
			if !strings.HasPrefix(p.Key.Value, "x-") {
				d.note(p.Key, fmt.Sprintf("%s: service %q has no container, %s provides it", p.Key.Path, s.Name, s.Provider.Type), "remove the key")
			}
		}
	}
}

func (d *decoder) checkNetworks(s *draft) {
	if s.NetworkMode != "" && len(s.Networks) > 0 {
		d.err(CodeConflict, s.child("network_mode"), fmt.Sprintf("service %q has both network_mode and networks", s.Name), "keep one of them")
	}
	for _, n := range sortedKeys(s.Networks) {
		if d.project.Networks[n] == nil && !d.Count(diag.Error) {
			d.err(CodeUndefined, s.child("networks", n), fmt.Sprintf("service %q uses network %q, which is not defined", s.Name, n), orDefine(&d.faults, n, "networks", d.project.Networks))
		}
	}
	if (needsOf(s.NetworkMode) != "" || ofContainer(s.NetworkMode)) && len(s.Ports) > 0 {
		d.refuse(CodeConflict, s.child("ports"), fmt.Sprintf("service %q is in the network of %s: it publishes no ports of its own", s.Name, s.NetworkMode), "publish them in "+s.NetworkMode)
	}
	for _, k := range sortedKeys(s.Sysctls) {
		if of := hostsOwn(s, k); of != "" {
			d.refuse(CodeConflict, s.child("sysctls", k), fmt.Sprintf("service %q is in the host's %s: %s would change the host", s.Name, of, k), "")
		}
	}
	if s.UTS == "host" && s.Hostname != "" {
		d.refuse(CodeConflict, s.child("hostname"), fmt.Sprintf("service %q has the host's name space: it cannot set a host name", s.Name), "remove hostname or uts")
	}
}

// hostsOwn is what of the host's a sysctl of s is a setting of; "" = none.
func hostsOwn(s *draft, sysctl string) string {
	switch {
	case strings.HasPrefix(sysctl, "net."):
		if s.NetworkMode == "host" {
			return "network"
		}
	case sysctl == "kernel.domainname":
		if s.UTS == "host" {
			return "name space of host names"
		}
	case s.IPC == "host":
		return "IPC name space"
	}
	return ""
}

// orDefine is the hint for a name that is not defined at the top.
func orDefine[V any](f *faults, name, section string, defined map[string]V) string {
	if h := among(f, name, defined); strings.HasPrefix(h, "did you mean") {
		return h
	}
	return fmt.Sprintf("define %q under the top-level %s", name, section)
}

func (d *decoder) checkDependencies(s *draft) {
	for _, name := range sortedKeys(s.DependsOn) {
		if d.project.Services[name] != nil {
			if name == s.Name && !d.Count(diag.Error) {
				d.err(CodeCycle, d.needed(s, name), fmt.Sprintf("service %q depends on itself", name), "")
			}
			continue
		}
		if s.DependsOn[name].Required && d.Count(diag.Error) {
			continue
		}
		at := d.needed(s, name)
		inactive := d.project.Inactive[name]
		switch {
		case inactive != nil && !s.DependsOn[name].Required: // settle drops it
		case !s.DependsOn[name].Required: // config writes it so where the service is inactive; but it may be a slip
			if hint := among(&d.faults, name, d.drafts); strings.HasPrefix(hint, "did you mean") {
				d.note(at, fmt.Sprintf("service %q would wait for %q, which is not defined", s.Name, name), hint)
			}
		case inactive != nil && (d.in.Purpose == ToManage || d.in.Purpose == ToBuild): // what was started under other profiles can be listed and stopped
		case inactive != nil:
			d.err(CodeProfile, at, fmt.Sprintf("service %q depends on %q, whose profiles (%s) are not active", s.Name, name, strings.Join(inactive.Profiles, ", ")), fmt.Sprintf("add --profile %s, or write required: false", inactive.Profiles[0]))
		default:
			d.err(CodeUndefined, at, fmt.Sprintf("service %q depends on %q, which is not defined", s.Name, name), among(&d.faults, name, d.drafts))
		}
	}
}

// needed is where s says that it needs the service name: for places. It is s's key where nothing says so.
func (d *decoder) needed(s *draft, name string) *tree.Node {
	at := s.child("depends_on", name)
	if p := s.node.Pair("depends_on"); p != nil && at != p.Key {
		return at
	}
	for _, k := range namespaces {
		if n := s.node.Get(k); n != nil && (needsOf(n.Value) == name || d.containers[containerOf(n.Value)] == name) {
			return n
		}
	}
	for _, l := range s.links {
		if l.service == name {
			return l.node
		}
	}
	if from := s.node.Get("volumes_from"); from != nil {
		for _, it := range from.Items {
			if of, _, _ := strings.Cut(it.Value, ":"); of == name {
				return it
			}
		}
	}
	return at
}

// namespaces are the keys of a service that may name another one.
var namespaces = []string{"network_mode", "ipc", "pid", "uts"}

// containerOf is the container that a mode such as "container:db" names, "" when none.
func containerOf(mode string) string {
	name, ok := strings.CutPrefix(mode, "container:")
	if !ok {
		return ""
	}
	return name
}

// requires are the services that s needs, those too in whose namespaces it lives by their container_name.
func (d *decoder) requires(s *draft) []string {
	all := sortedKeys(s.DependsOn)
	for _, mode := range []string{s.NetworkMode, s.IPC, s.PID} {
		if of := d.containers[containerOf(mode)]; of != "" && !slices.Contains(all, of) {
			all = append(all, of)
		}
	}
	return all
}

// nameContainers finds the services by their container_name.
func (d *decoder) nameContainers() {
	d.containers = map[string]string{}
	for _, name := range sortedKeys(d.project.Services) {
		if s := d.project.Services[name]; s.ContainerName != "" && s.Provider == nil && d.containers[s.ContainerName] == "" {
			d.containers[s.ContainerName] = name
		}
	}
}

// checkContexts looks at the build contexts that are what another service builds.
func (d *decoder) checkContexts(s *draft) {
	if s.Build == nil {
		return
	}
	for _, key := range sortedKeys(s.Build.AdditionalContexts) {
		name, ok := strings.CutPrefix(s.Build.AdditionalContexts[key], "service:")
		if !ok {
			continue
		}
		at := s.child("build", "additional_contexts", key)
		switch other := d.project.Services[name]; {
		case other == nil:
			d.err(CodeUndefined, at, fmt.Sprintf("service %q builds with what service %q builds, which is not defined", s.Name, name), among(&d.faults, name, d.drafts))
		case other.Build == nil:
			d.err(CodeUndefined, at, fmt.Sprintf("service %q builds with what service %q builds, which has no build", s.Name, name), "")
		}
	}
}

// checkCycles reports each cycle of dependencies once, with the place of every edge.
func (d *decoder) checkCycles() {
	const (
		unseen = iota
		open
		done
	)
	state := map[string]int{}
	var stack []string
	depth := map[string]int{} // of what is open, in stack
	var visit func(name string)
	visit = func(name string) {
		state[name], depth[name] = open, len(stack)
		stack = append(stack, name)
		s := d.drafts[name]
		for _, dep := range d.requires(s) {
			if _, said := s.DependsOn[dep]; d.project.Services[dep] == nil || dep == name && said { // on itself: that is told already
				continue
			}
			switch state[dep] {
			case unseen:
				visit(dep)
			case open:
				if !d.Count(diag.Error) {
					d.cycle(append(slices.Clone(stack[depth[dep]:]), dep))
				}
			}
		}
		stack = stack[:len(stack)-1]
		state[name] = done
	}
	for _, name := range sortedKeys(d.project.Services) {
		if state[name] == unseen {
			visit(name)
		}
	}
}

// maxEdges bounds what is told of one cycle.
const maxEdges = 20

func (d *decoder) cycle(names []string) {
	edges := make([]string, 0, min(len(names), maxEdges))
	for i := 0; i+1 < len(names); i++ {
		if left := len(names) - 1 - i; i == maxEdges-1 && left > 1 {
			edges = append(edges, fmt.Sprintf("and %d more", left))
			break
		}
		edges = append(edges, fmt.Sprintf("%s -> %s (%s)", names[i], names[i+1], d.needed(d.drafts[names[i]], names[i+1]).Pos()))
	}
	d.err(CodeCycle, d.needed(d.drafts[names[0]], names[1]), "services depend on each other: "+strings.Join(edges, ", "), "remove one of these dependencies")
}

func (d *decoder) checkMounts(s *draft) {
	for _, m := range s.Mounts {
		place := func() *tree.Node {
			at := s.node.Get("volumes")
			if r := d.itemNode(at, m.Target); r != nil {
				return r
			}
			return at
		}
		if m.Type == "volume" && m.Source != "" && d.project.Volumes[m.Source] == nil && !d.Count(diag.Error) {
			hint := orDefine(&d.faults, m.Source, "volumes", d.project.Volumes)
			if strings.Contains(m.Source, "/") {
				hint = fmt.Sprintf("for a directory beside the file write ./%s", m.Source)
			}
			d.err(CodeUndefined, place(), fmt.Sprintf("service %q mounts volume %q, which is not defined", s.Name, m.Source), hint)
		}
		for _, t := range s.Tmpfs {
			if t.Target == m.Target {
				d.err(CodeDuplicate, place(), fmt.Sprintf("service %q has two mounts on %s", s.Name, m.Target), "remove one")
			}
		}
	}
}

// itemNode finds the last entry of volumes whose target is target.
func (d *decoder) itemNode(list *tree.Node, target string) *tree.Node {
	for _, it := range slices.Backward(list.Items) {
		if it.Kind == tree.Mapping {
			if t := it.Get("target"); t != nil && strings.TrimSuffix(t.Value, "/") == target {
				return it
			}
		} else if parts := strings.Split(it.Value, ":"); slices.Contains(parts, target) {
			return it
		}
	}
	return nil
}

// checkFiles finds uses, written below the keys at, of what the section does not define.
func (d *decoder) checkFiles(s *draft, section, what string, uses []FileUse, defined map[string]*FileObject, at ...string) {
	for _, u := range uses {
		if defined[u.Source] == nil && !d.Count(diag.Error) {
			d.err(CodeUndefined, s.child(append(slices.Clone(at), u.Source)...), fmt.Sprintf("service %q uses %s %q, which is not defined", s.Name, what, u.Source), orDefine(&d.faults, u.Source, section, defined))
		}
	}
}

func (d *decoder) checkContainerNames() {
	owner := map[string]*draft{}
	for _, name := range sortedKeys(d.project.Services) {
		s := d.drafts[name]
		if s.ContainerName == "" {
			continue
		}
		if o := owner[s.ContainerName]; o != nil {
			d.err(CodeDuplicate, s.child("container_name"), fmt.Sprintf("services %q and %q have the same container name %q", o.Name, s.Name, s.ContainerName), "change one of them")
			continue
		}
		owner[s.ContainerName] = s
	}
}

// checkPublished finds host ports that two services, or two replicas of one, would take.
func (d *decoder) checkPublished() {
	type claim struct {
		s     *draft
		ip    string
		place string
	}
	taken := map[string][]claim{}
	for _, name := range sortedKeys(d.project.Services) {
		s := d.drafts[name]
		d.owner = owner{"services", name}
		for i, p := range s.Ports {
			if p.Published == 0 {
				continue
			}
			key := fmt.Sprintf("%d/%s", p.Published, p.Protocol)
			path := Path(fmt.Sprintf("services.%s.ports[%d]", name, i))
			r := d.project.Sources.At(path)
			if last := max(p.Published, p.PublishedEnd); s.Replicas > int(last-p.Published)+1 {
				which := "host port " + key
				if last > p.Published {
					which = fmt.Sprintf("one of host ports %d-%d/%s", p.Published, last, p.Protocol)
				}
				d.refuse(CodeConflict, pointNode(r), fmt.Sprintf("service %q has %d replicas, which cannot all take %s", name, s.Replicas, which), fmt.Sprintf("publish a range of ports, such as %d-%d:%d", p.Published, int(p.Published)+s.Replicas-1, p.Target))
				continue
			}
			if p.PublishedEnd != 0 {
				continue // any that is free will do
			}
			for _, c := range taken[key] {
				if !sameAddress(c.ip, p.HostIP) {
					continue
				}
				who := fmt.Sprintf("service %q and service %q (%s) both publish", name, c.s.Name, c.place)
				if c.s == s {
					who = fmt.Sprintf("service %q publishes twice", name)
				}
				d.refuse(CodeConflict, pointNode(r), who+" host port "+key, "change one of the host ports")
				break
			}
			taken[key] = append(taken[key], claim{s, p.HostIP, r.Start.String()})
		}
	}
}

// pointNode is a node that stands where r starts.
func pointNode(r *diag.Range) *tree.Node {
	return &tree.Node{File: r.Start.File, Line: int32(r.Start.Line), Column: int32(r.Start.Column)}
}

func (d *decoder) checkModels(s *draft) {
	for _, m := range sortedKeys(s.Models) {
		if d.project.Models[m] == nil && !d.Count(diag.Error) {
			d.err(CodeUndefined, s.child("models", m), fmt.Sprintf("service %q uses model %q, which is not defined", s.Name, m), orDefine(&d.faults, m, "models", d.project.Models))
		}
	}
}

// sameAddress says whether two bind addresses clash; "" is every address of both families.
func sameAddress(a, b string) bool {
	if a == b || a == "" || b == "" {
		return true
	}
	v6 := func(ip string) bool { return strings.Contains(ip, ":") }
	any := func(ip string) bool { return ip == "0.0.0.0" || ip == "::" }
	return v6(a) == v6(b) && (any(a) || any(b))
}

// checkAddresses holds static addresses against the subnets of their networks and
// finds those that are given twice.
func (d *decoder) checkAddresses() {
	given := map[string]string{}
	for _, name := range sortedKeys(d.project.Services) {
		s := d.drafts[name]
		d.owner = owner{"services", name}
		for _, key := range sortedKeys(s.Networks) {
			net, ep := d.project.Networks[key], s.Networks[key]
			if net == nil {
				continue
			}
			for field, addr := range map[string]string{"ipv4_address": ep.IPv4, "ipv6_address": ep.IPv6} {
				if addr == "" {
					continue
				}
				at := s.child("networks", key, field)
				d.checkAddress(at, s, net, addr)
				if s.Replicas > 1 {
					d.refuse(CodeConflict, at, fmt.Sprintf("service %q has %d replicas, which cannot share the address %s", name, s.Replicas, addr), "remove "+field)
				}
				if o := given[key+" "+addr]; o != "" {
					d.refuse(CodeDuplicate, at, fmt.Sprintf("services %q and %q both have the address %s on network %q", o, name, addr, key), "change one of them")
				}
				given[key+" "+addr] = name
			}
		}
	}
}

func (d *decoder) checkAddress(at *tree.Node, s *draft, n *Network, addr string) {
	if n.External {
		return // its subnets are known on the host only
	}
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return
	}
	var subnets []string
	for _, p := range n.IPAM {
		subnet, err := netip.ParsePrefix(p.Subnet)
		if err != nil || subnet.Addr().Is4() != a.Is4() {
			continue
		}
		if subnet.Contains(a) {
			if p.Gateway == addr {
				d.refuse(CodeConflict, at, fmt.Sprintf("service %q: %s is the gateway of network %q", s.Name, addr, n.Key), "take another address")
			}
			return
		}
		subnets = append(subnets, subnet.String())
	}
	if len(subnets) == 0 {
		d.refuse(CodeMissing, at, fmt.Sprintf("service %q wants %s on network %q, which has no subnet of that kind in the file", s.Name, addr, n.Key), "write ipam.config with a subnet for the network")
		return
	}
	d.refuse(CodeValue, at, fmt.Sprintf("service %q: %s is outside the subnet %s of network %q", s.Name, addr, strings.Join(subnets, ", "), n.Key), "")
}
