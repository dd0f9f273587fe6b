package bundle

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/plan"
)

// NetworkOrder are the networks of c: by priority downwards, then by name.
func NetworkOrder(c *plan.Spec) []string {
	names := slices.Collect(maps.Keys(c.Networks))
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(c.Networks[b].Priority, c.Networks[a].Priority), strings.Compare(a, b))
	})
	return names
}

// Network is how the network w of project is made. An error: a range or an address of it is none.
func Network(project string, w plan.Network) (network.Config, error) {
	encoded := plan.Encode(w.Spec)
	cfg := network.Config{
		ID: w.Name, Driver: "bridge", Internal: w.Spec.Internal, IPv4: !w.Spec.NoIPv4, IPv6: w.Spec.IPv6, DriverOpts: w.Spec.DriverOpts,
		Labels: ownLabels(w.Spec.Labels, project, label.Network, w.Key, encoded),
	}
	if w.Spec.Driver != "" {
		cfg.Driver = w.Spec.Driver
	}
	for _, pool := range w.Spec.IPAM {
		var out network.Pool
		var err error
		parse := func(what, s string, into *netip.Prefix) {
			if s == "" || err != nil {
				return
			}
			prefix, e := netip.ParsePrefix(s)
			if e != nil {
				err = fmt.Errorf("%s %q is not an address range such as 10.1.0.0/24", what, s)
				return
			}
			*into = prefix.Masked()
		}
		parse("subnet", pool.Subnet, &out.Subnet)
		parse("ip_range", pool.Range, &out.Range)
		if err != nil {
			return cfg, errdefs.With(errdefs.ErrInvalidArgument, err)
		}
		if !out.Subnet.IsValid() {
			continue // driver: default, and nothing else said
		}
		if pool.Gateway != "" {
			if out.Gateway, err = netip.ParseAddr(pool.Gateway); err != nil {
				return cfg, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("gateway %q is not an address", pool.Gateway))
			}
		}
		for _, s := range pool.Aux {
			a, err := netip.ParseAddr(s)
			if err != nil {
				return cfg, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("aux address %q is not an address", s))
			}
			out.Aux = append(out.Aux, a)
		}
		slices.SortFunc(out.Aux, netip.Addr.Compare)
		cfg.Pools = append(cfg.Pools, out)
	}
	return cfg, nil
}

// ownLabels are the labels of a network or volume.
func ownLabels(user map[string]string, project, keyLabel, key, encoded string) map[string]string {
	l := make(map[string]string, len(user)+5)
	for k, v := range user {
		l[k] = v
	}
	l[label.Project], l[keyLabel], l[label.Version] = project, key, label.ComposeVersion
	l[label.Hash], l[label.Want] = plan.Hash(encoded), encoded
	return l
}

// Port is p as the network publishes it. An error: its address on the host is none.
func Port(p plan.Port) (network.Port, error) {
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
