package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// maxObject bounds a config or secret, bytes. docker's bound for swarm configs is 1000 kB; these live in memory.
const maxObject = 16 << 20

// readObject reads the file of a config or secret.
func readObject(o *spec.FileObject) ([]byte, error) {
	f, err := os.Open(o.File)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", o.File)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxObject+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxObject {
		return nil, fmt.Errorf("%s is larger than %d MiB", o.File, maxObject>>20)
	}
	return b, nil
}

// digestFiles puts the digest of each config's and secret's file into want, so that a change of the content is a
// change of the container. A file that is not there is found here, before anything happens; it has no digest.
func digestFiles(p *spec.Project, want *plan.Desired) diag.List {
	digests := map[string]string{}
	var diags diag.List
	fill := func(service, kind string, objects map[string]*spec.FileObject, files []plan.File) {
		for i := range files {
			f := &files[i]
			o := objects[f.Source]
			at := fmt.Sprintf("services.%s.%s[%d]", service, kind, i)
			what := strings.TrimSuffix(kind, "s")
			if o == nil || o.External {
				detail := fmt.Sprintf("service %s uses %s %s, which the file does not define", service, what, f.Source)
				if o != nil {
					detail = fmt.Sprintf("%s %s is external, and this platform has no store of %s", what, f.Source, kind)
				}
				diags = append(diags, &diag.Diagnostic{Code: diag.Code("missing-" + what), Summary: "a " + what + " is not there", Detail: detail, Address: at, Subject: p.Sources.At(spec.Path(at))})
				continue
			}
			if o.File == "" {
				continue
			}
			if _, read := digests[o.File]; !read {
				b, err := readObject(o)
				sum := sha256.Sum256(b)
				digests[o.File] = hex.EncodeToString(sum[:])
				if err != nil {
					digests[o.File] = ""
					hint := "create the file, or correct its path"
					if !errors.Is(err, fs.ErrNotExist) {
						hint = ""
					}
					at = kind + "." + f.Source + ".file"
					diags = append(diags, &diag.Diagnostic{Code: diag.Code("missing-" + what), Summary: "the file of a " + what + " cannot be read", Detail: fmt.Sprintf("%s %s of service %s: %v", what, f.Source, service, err),
						Hint: hint, Address: at, Subject: p.Sources.At(spec.Path(at)), Err: err})
				}
			}
			f.Digest = digests[o.File]
		}
	}
	for name, s := range want.Services {
		fill(name, "configs", p.Configs, s.Spec.Configs)
		fill(name, "secrets", p.Secrets, s.Spec.Secrets)
	}
	diags.Sort()
	return diags
}

// preflight looks for what would fail half-way: ports, bind sources, addresses. It changes nothing.
func (e *Engine) preflight(ctx context.Context, p *spec.Project, want *plan.Desired, pl *plan.Plan) (diag.List, error) {
	var diags diag.List
	add := func(d *diag.Diagnostic) { diags = append(diags, d) }
	begins := map[string]int{} // containers of each service that are started
	for _, s := range pl.Steps {
		if op, ok := s.Op.(plan.StartContainer); ok {
			begins[op.Service]++
		}
	}
	for name := range begins {
		s := want.Services[name]
		for i, m := range s.Spec.Mounts {
			if m.Type != "bind" || m.CreateHostPath {
				continue
			}
			if _, err := os.Stat(m.Source); err != nil {
				add(&diag.Diagnostic{Code: "missing-bind-source", Summary: "a directory or file of the host that is to be mounted is not there", Detail: err.Error(),
					Hint: "create it, or set create_host_path: true", Address: fmt.Sprintf("services.%s.volumes[%d]", name, i)})
			}
		}
		for net, ep := range s.Spec.Networks {
			checkAddress(want, name, net, ep, add)
		}
	}
	e.checkTwice(want, add)
	if err := e.checkPorts(ctx, want, begins, add); err != nil {
		return nil, err
	}
	if err := e.checkReach(ctx, want, begins, add); err != nil {
		return nil, err
	}
	if err := e.checkSubnets(ctx, want, pl, add); err != nil {
		return nil, err
	}
	e.place(p, diags)
	return diags, nil
}

// checkAddress wants a static address inside one of the network's configured ranges.
func checkAddress(want *plan.Desired, service, net string, ep plan.Endpoint, add func(*diag.Diagnostic)) {
	w, ok := want.Networks[net]
	if !ok || w.External {
		return
	}
	for _, c := range []struct{ key, value string }{{"ipv4_address", ep.IPv4}, {"ipv6_address", ep.IPv6}} {
		if c.value == "" {
			continue
		}
		at := "services." + service + ".networks." + w.Key + "." + c.key
		addr, err := netip.ParseAddr(c.value)
		if err != nil {
			add(&diag.Diagnostic{Code: "bad-address", Summary: "not an address", Detail: fmt.Sprintf("%q", c.value), Address: at})
			continue
		}
		var ranges []string
		inside := false
		for _, pool := range w.Spec.IPAM {
			if prefix, err := netip.ParsePrefix(pool.Subnet); err == nil {
				ranges = append(ranges, pool.Subnet)
				inside = inside || prefix.Contains(addr)
			}
		}
		switch {
		case len(ranges) == 0:
			add(&diag.Diagnostic{Code: "address-without-subnet", Summary: "a fixed address needs a network with a configured subnet", Detail: fmt.Sprintf("%s of service %s on network %s", addr, service, net),
				Hint: "set ipam.config.subnet of the network", Address: at})
		case !inside:
			add(&diag.Diagnostic{Code: "address-outside-subnet", Summary: "a fixed address is outside its network", Detail: fmt.Sprintf("%s of service %s is not in %s of network %s", addr, service, strings.Join(ranges, ", "), net), Address: at})
		}
	}
}

// checkTwice finds a host port that two containers of the file want.
func (e *Engine) checkTwice(want *plan.Desired, add func(*diag.Diagnostic)) {
	owner := map[plan.Port]string{}
	for _, name := range selected(want, nil, true) {
		s := want.Services[name]
		for i, port := range s.Spec.Ports {
			if port.Published == 0 || port.PublishedEnd > port.Published || s.Replicas == 0 {
				continue
			}
			at := fmt.Sprintf("services.%s.ports[%d]", name, i)
			key := plan.Port{HostIP: port.HostIP, Published: port.Published, Protocol: port.Protocol}
			if s.Replicas > 1 {
				add(&diag.Diagnostic{Code: "port-of-several", Summary: "several containers cannot publish one port", Detail: fmt.Sprintf("service %s has %d containers and publishes %d", name, s.Replicas, port.Published),
					Hint: fmt.Sprintf("publish a range such as %d-%d:%d, or no fixed port", port.Published, int(port.Published)+s.Replicas-1, port.Target), Address: at})
			} else if first := owner[key]; first != "" {
				add(&diag.Diagnostic{Code: "port-twice", Summary: "two services publish one port", Detail: fmt.Sprintf("%d is published by %s and by %s", port.Published, first, name), Address: at})
			}
			owner[key] = name
		}
	}
}

// checkPorts asks for the ports of containers that are to start, but for those that containers of this project hold: they
// are kept by their container, or freed by the plan before somebody else takes them.
func (e *Engine) checkPorts(ctx context.Context, want *plan.Desired, begins map[string]int, add func(*diag.Diagnostic)) error {
	publishes := false
	for name := range begins {
		publishes = publishes || len(want.Services[name].Spec.Ports) > 0
	}
	if !publishes {
		return nil // then nobody needs to look at the host for it
	}
	ours, err := listContainers(ctx, e.drivers, want.Project)
	if err != nil {
		return err
	}
	mine := map[string]bool{}
	for _, c := range ours {
		mine[c.ID] = true
	}
	boxes, err := e.drivers.Networks.Sandboxes(ctx)
	if err != nil {
		return fmt.Errorf("cannot list network namespaces: %w", err)
	}
	held := func(p network.Port) bool {
		for _, box := range boxes {
			if !mine[box.ContainerID] {
				continue
			}
			for _, q := range box.Ports {
				if q.Protocol == p.Protocol && p.HostPort <= q.HostPort && q.HostPort <= max(p.HostPort, p.HostPortEnd) {
					return true
				}
			}
		}
		return false
	}
	for name := range begins {
		for i, port := range want.Services[name].Spec.Ports {
			at := fmt.Sprintf("services.%s.ports[%d]", name, i)
			out, err := networkPort(port)
			if err != nil {
				add(&diag.Diagnostic{Code: "bad-port", Summary: "a published port has a bad host address", Detail: err.Error(), Address: at})
				continue
			}
			if out.HostPort == 0 || held(out) {
				continue
			}
			if err := e.drivers.Networks.CheckPorts(ctx, []network.Port{out}); err != nil {
				add(&diag.Diagnostic{Code: "port-taken", Summary: "a port that is to be published is taken", Detail: err.Error(),
					Hint: "stop its owner, or publish another port", Address: at, Err: err})
			}
		}
	}
	return nil
}

func networkPort(p plan.Port) (network.Port, error) {
	out := network.Port{HostPort: p.Published, HostPortEnd: p.PublishedEnd, ContainerPort: p.Target, Protocol: p.Protocol}
	if out.Protocol == "" {
		out.Protocol = "tcp"
	}
	if p.HostIP != "" {
		a, err := netip.ParseAddr(p.HostIP)
		if err != nil {
			return out, fmt.Errorf("%q is not an address", p.HostIP)
		}
		out.HostIP = a
	}
	return out, nil
}

// checkSubnets finds a subnet that is to be made and is inside, or around, one that is there.
func (e *Engine) checkSubnets(ctx context.Context, want *plan.Desired, pl *plan.Plan, add func(*diag.Diagnostic)) error {
	var have []network.State
	for _, s := range pl.Steps {
		op, ok := s.Op.(plan.CreateNetwork)
		if !ok {
			continue
		}
		if have == nil {
			var err error
			if have, err = e.drivers.Networks.List(ctx); err != nil {
				return fmt.Errorf("cannot list networks: %w", err)
			}
		}
		w := want.Networks[op.Name]
		cfg, err := networkConfig(want.Project, w)
		if err != nil {
			add(&diag.Diagnostic{Code: "bad-subnet", Summary: "a network has a bad address range", Detail: err.Error(), Address: "networks." + w.Key + ".ipam", Err: err})
			continue
		}
		for _, pool := range cfg.Pools {
			for _, other := range have {
				if other.Config.ID == op.Name {
					continue
				}
				for _, q := range other.Pools {
					if q.Subnet.IsValid() && q.Subnet.Overlaps(pool.Subnet) {
						add(&diag.Diagnostic{Code: "subnet-taken", Summary: "a network's address range overlaps that of another", Detail: fmt.Sprintf("%s of network %s and %s of network %s", pool.Subnet, op.Name, q.Subnet, other.Config.ID),
							Hint: "choose another subnet, or leave it out to get a free one", Address: "networks." + w.Key + ".ipam"})
					}
				}
			}
		}
	}
	return nil
}

// checkReach warns of ports that nobody can reach: those of a container that is on internal networks only.
func (e *Engine) checkReach(ctx context.Context, want *plan.Desired, begins map[string]int, add func(*diag.Diagnostic)) error {
	var have []network.State
	for name := range begins {
		s := want.Services[name]
		if len(s.Spec.Ports) == 0 || len(s.Spec.Networks) == 0 {
			continue
		}
		open := false
		for net := range s.Spec.Networks {
			w := want.Networks[net]
			if !w.External {
				open = open || !w.Spec.Internal
				continue
			}
			if have == nil {
				var err error
				if have, err = e.drivers.Networks.List(ctx); err != nil {
					return fmt.Errorf("cannot list networks: %w", err)
				}
			}
			open = open || !slices.ContainsFunc(have, func(n network.State) bool { return n.Config.ID == net && n.Config.Internal })
		}
		if !open {
			add(&diag.Diagnostic{Severity: diag.Warning, Code: "port-unreachable", Summary: "ports of a service on internal networks are not published",
				Detail: fmt.Sprintf("service %s is on %s only, which internal: true closes to the host", name, strings.Join(slices.Sorted(maps.Keys(s.Spec.Networks)), ", ")),
				Hint:   "add a network that is not internal, or remove ports", Address: "services." + name + ".ports"})
		}
	}
	return nil
}

// sandboxConfig says which network a container gets.
func sandboxConfig(c *container) (network.SandboxConfig, error) {
	cfg := network.SandboxConfig{ContainerID: c.ID, Labels: map[string]string{labelProject: c.project, labelService: c.service, labelName: c.name}, Sysctls: bundle.NetSysctls(&c.spec)}
	if c.spec.NetworkMode != "none" {
		endpoints, err := endpointConfigs(c)
		if err != nil {
			return cfg, err
		}
		cfg.Endpoints = endpoints
	}
	for _, p := range c.spec.Ports {
		out, err := networkPort(p)
		if err != nil {
			return cfg, err
		}
		cfg.Ports = append(cfg.Ports, out)
	}
	for _, s := range c.spec.DNS {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return cfg, fmt.Errorf("cannot use dns %q: expected an address", s)
		}
		cfg.DNS.Servers = append(cfg.DNS.Servers, a)
	}
	cfg.DNS.Search, cfg.DNS.Options = c.spec.DNSSearch, c.spec.DNSOpt
	return cfg, nil
}
