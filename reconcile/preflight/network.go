package preflight

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/desire"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec/diag"
)

// checkNetworks asks the network driver about the networks that are to be made, and finds a subnet that is inside, or around, one
// that is there.
func (s *survey) checkNetworks(ctx context.Context) error {
	var before []network.Config // of the file's, that are to be made too
	for _, step := range s.plan.Steps {
		op, ok := step.Op.(plan.CreateNetwork)
		if !ok {
			continue
		}
		w := s.want.Networks[op.Name]
		ipam := "networks." + w.Key + ".ipam"
		cfg, err := bundle.Network(s.want.Project, w)
		if err != nil {
			s.refuse("bad-subnet", "a network has a bad address range", ipam, err)
			continue
		}
		if err := s.drivers.Networks.CheckNetwork(ctx, cfg); err != nil {
			s.refuse("bad-network", "a network cannot be made as the file says", s.networkPlace(w, err), err)
			continue
		}
		for _, opt := range cfg.UnknownOptions() {
			s.add(&diag.Diagnostic{Severity: diag.Warning, Code: "unknown-option", Summary: "a driver option is not known, and has no effect", Detail: fmt.Sprintf("network %s of driver %s: %s", op.Name, cfg.Driver, opt),
				Hint: "remove it", Address: s.written("networks."+w.Key+".driver_opts."+opt, "networks."+w.Key)})
		}
		if n := s.containersOn(op.Name); cfg.Sole() && n > 1 {
			s.add(&diag.Diagnostic{Code: "parent-of-several", Summary: "a network is for one container only", Detail: fmt.Sprintf("macvlan_mode passthru of network %s gives its parent to one container, the file has %d on it", op.Name, n),
				Hint: "use macvlan_mode bridge, or a network for each", Address: s.written("networks."+w.Key+".driver_opts.macvlan_mode", "networks."+w.Key)})
		}
		for _, other := range before {
			if err := cfg.Beside(other); err != nil {
				s.refuse("bad-network", "a network cannot be made as the file says", s.networkPlace(w, err), err)
			}
			s.checkOverlap(w, cfg, other.ID, other.Pools)
		}
		before = append(before, cfg)
		have, err := s.hostNetworks(ctx)
		if err != nil {
			return err
		}
		for _, other := range have {
			if other.Config.ID != op.Name {
				s.checkOverlap(w, cfg, other.Config.ID, other.Pools)
			}
		}
	}
	return nil
}

// checkOverlap finds addresses that network c, which is w, and another one would both have.
func (s *survey) checkOverlap(w plan.Network, c network.Config, other string, pools []network.Pool) {
	for i, pool := range c.Pools {
		for _, q := range pools {
			if q.Subnet.IsValid() && q.Subnet.Overlaps(pool.Subnet) {
				s.add(&diag.Diagnostic{Code: "subnet-taken", Summary: "a network's address range overlaps that of another", Detail: fmt.Sprintf("%s of network %s and %s of network %s", pool.Subnet, c.ID, q.Subnet, other),
					Hint: "choose another subnet, or leave it out to get a free one", Address: s.poolPlace(w, i)})
			}
		}
	}
}

// networkPlace is the setting of w that err is about, if it says which.
func (s *survey) networkPlace(w plan.Network, err error) string {
	at := "networks." + w.Key
	paths := []string{at + ".driver_opts", at + ".driver", at}
	if opt := definition.OptionOf(err); opt != "" {
		paths = append([]string{at + ".driver_opts." + opt}, paths...)
	}
	if i := definition.PoolOf(err); i >= 0 {
		return s.poolPlace(w, i)
	}
	return s.written(paths...)
}

// poolPlace is where the file has the i-th of the subnets that w is made with.
func (s *survey) poolPlace(w plan.Network, i int) string {
	at := "networks." + w.Key + ".ipam"
	for k, pool := range w.Spec.IPAM {
		if pool.Subnet == "" {
			continue // bundle.Network makes none of it
		}
		if i == 0 {
			return s.written(fmt.Sprintf("%s.config[%d].subnet", at, k), at)
		}
		i--
	}
	return at
}

// containersOn is how many containers the file has on network name.
func (s *survey) containersOn(name string) (n int) {
	for _, service := range s.want.Services {
		if _, on := service.Spec.Networks[name]; on {
			n += service.Replicas
		}
	}
	return n
}

// networkConfigs are the configurations of the networks that c is on: those of the file, and of the host for external ones. One that is not known is left out.
func (s *survey) networkConfigs(ctx context.Context, c *plan.Spec) (map[string]network.Config, error) {
	all := map[string]network.Config{}
	for name := range c.Networks {
		w := s.want.Networks[name]
		if !w.External {
			if cfg, err := bundle.Network(s.want.Project, w); err == nil { // else checkNetworks tells
				all[name] = cfg
			}
			continue
		}
		have, err := s.hostNetworks(ctx)
		if err != nil {
			return nil, err
		}
		for _, n := range have {
			if n.Config.ID == name {
				all[name] = n.Config
			}
		}
	}
	return all, nil
}

// checkFurther warns of an address of link_local_ips that two containers of one network have: nobody gives these out, so nobody keeps others from them.
func (s *survey) checkFurther() {
	type place struct{ network, address string }
	owner := map[place]string{}
	for _, name := range s.want.Selected(nil, true) {
		service := s.want.Services[name]
		for _, net := range bundle.NetworkOrder(&service.Spec) {
			for i, a := range service.Spec.Networks[net].LinkLocal {
				at, who := place{net, a}, "service "+name
				other := owner[at]
				if other == "" && service.Replicas > 1 {
					other = "another of its containers"
				}
				if owner[at] = who; other != "" && other != who && s.begins[name] > 0 {
					s.add(&diag.Diagnostic{Severity: diag.Warning, Code: "address-twice", Summary: "two containers of a network have one address", Detail: fmt.Sprintf("%s of %s on network %s is that of %s too: who sends to it reaches either", a, who, net, other),
						Hint: "give each its own", Address: fmt.Sprintf("services.%s.networks.%s.link_local_ips[%d]", name, s.want.Networks[net].Key, i)})
				}
			}
		}
	}
}

// checkEndpoints asks the network driver about each service's place on its networks.
func (s *survey) checkEndpoints(ctx context.Context) error {
	s.checkFurther()
	for name := range s.begins {
		c := &s.want.Services[name].Spec
		if s.file != nil && s.file.Services[name] != nil {
			s.diags = append(s.diags, desire.UnknownOptions(s.file.Services[name], "services."+name)...)
		}
		configs, err := s.networkConfigs(ctx, c)
		if err != nil {
			return err
		}
		for i, net := range bundle.NetworkOrder(c) {
			ep, at := c.Networks[net], "services."+name+".networks."+s.want.Networks[net].Key
			mac, place := ep.MacAddress, at+".mac_address"
			if mac == "" && i == 0 {
				mac, place = c.MacAddress, "services."+name+".mac_address"
			}
			if _, err := definition.InterfaceSysctls(ep.Sysctls); err != nil {
				s.refuse("bad-endpoint", "a container cannot be on a network as the file says", s.written(at+".driver_opts."+desire.OptionSysctls, at+".driver_opts", at), err)
			}
			if cfg, ok := configs[net]; ok {
				if err := cfg.CheckEndpoint(network.EndpointConfig{Network: net, MAC: mac}); err != nil {
					s.refuse("bad-endpoint", "a container cannot be on a network as the file says", s.written(place, at), err)
				}
			}
		}
	}
	return nil
}

// checkAddresses wants a static address inside one of the network's ranges, and nobody's yet; and as many addresses as there are
// containers.
func (s *survey) checkAddresses(ctx context.Context) error {
	members := map[string]int{} // containers of each network that get any address
	for name, service := range s.want.Services {
		for net, ep := range service.Spec.Networks {
			if ep.IPv4 == "" {
				members[net] += service.Replicas
			}
		}
		if s.begins[name] == 0 {
			continue
		}
		for net, ep := range service.Spec.Networks {
			for _, a := range []struct{ key, value string }{{"ipv4_address", ep.IPv4}, {"ipv6_address", ep.IPv6}} {
				if a.value == "" {
					continue
				}
				if err := s.checkAddress(ctx, name, net, a.key, a.value); err != nil {
					return err
				}
			}
		}
	}
	for net, n := range members {
		w := s.want.Networks[net]
		if w.External || len(s.begins) == 0 {
			continue
		}
		cfg, err := bundle.Network(s.want.Project, w)
		if err != nil {
			continue // told by checkNetworks, or the network is there
		}
		if room, bounded := cfg.Room(); bounded && n > room {
			s.add(&diag.Diagnostic{Code: "subnet-full", Summary: "a network has fewer addresses than containers", Detail: fmt.Sprintf("network %s has room for %d, the file has %d", net, room, n),
				Hint: "give it a larger subnet, or leave that out", Address: "networks." + w.Key + ".ipam"})
		}
	}
	return nil
}

func (s *survey) checkAddress(ctx context.Context, service, net, key, value string) error {
	w, ok := s.want.Networks[net]
	if !ok {
		return nil
	}
	at := "services." + service + ".networks." + w.Key + "." + key
	addr, err := netip.ParseAddr(value)
	if err != nil {
		s.add(&diag.Diagnostic{Code: "bad-address", Summary: "not an address", Detail: fmt.Sprintf("%q", value), Address: at})
		return nil
	}
	have, err := s.hostNetworks(ctx)
	if err != nil {
		return err
	}
	var on network.Config
	for _, n := range have {
		if n.Config.ID != net {
			continue
		}
		on = n.Config
		for _, ep := range n.Endpoints {
			if ep.Addr4.Addr() != addr && ep.Addr6.Addr() != addr {
				continue
			}
			if c, err := inventory.ByID(ctx, s.drivers, ep.ContainerID); err == nil && c.Project != s.want.Project {
				s.add(&diag.Diagnostic{Code: "address-taken", Summary: "a fixed address is taken", Detail: fmt.Sprintf("%s on network %s belongs to container %s of project %s", addr, net, c.Name, c.Project),
					Hint: "stop that, or choose another address", Address: at})
				return nil
			}
		}
	}
	if !w.External {
		if cfg, err := bundle.Network(s.want.Project, w); err == nil {
			on = cfg
		}
	}
	var ranges []string
	for _, pool := range on.Pools {
		ranges = append(ranges, pool.Subnet.String())
		if !pool.Subnet.Contains(addr) {
			continue
		}
		if err := on.CheckAddress(pool, addr); err != nil {
			s.add(&diag.Diagnostic{Code: "address-taken", Summary: "a fixed address cannot be a container's", Detail: fmt.Sprintf("service %s on network %s: %v", service, net, err), Hint: "choose another", Address: at, Err: err})
		}
		return nil
	}
	if len(ranges) == 0 {
		s.add(&diag.Diagnostic{Code: "address-without-subnet", Summary: "a fixed address needs a network with a configured subnet", Detail: fmt.Sprintf("%s of service %s on network %s", addr, service, net),
			Hint: "set ipam.config.subnet of the network", Address: at})
		return nil
	}
	s.add(&diag.Diagnostic{Code: "address-outside-subnet", Summary: "a fixed address is outside its network", Detail: fmt.Sprintf("%s of service %s is not in %s of network %s", addr, service, strings.Join(ranges, ", "), net), Address: at})
	return nil
}
