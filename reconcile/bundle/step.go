package bundle

import (
	"cmp"
	"maps"
	"slices"

	"github.com/stackrun/stack/reconcile/plan"
)

// Step is the container of step i of the pre_start of container id, which s is. It is what docker compose makes of one: the service's volumes, networks and
// environment, and nothing else of it, so that it may do more than the service (change owners, say) where the service is confined.
// Nobody is led to it: it has no alias, address or port of the service's.
func Step(id string, s *plan.Spec, i int) plan.Spec {
	h := s.PreStart[i]
	out := plan.Spec{
		Image: cmp.Or(h.Image, s.Image), Platform: s.Platform, Command: slices.Clone(h.Command), User: h.User, WorkingDir: cmp.Or(h.WorkingDir, s.WorkingDir),
		Privileged: h.Privileged, Environment: maps.Clone(s.Environment), Unset: s.Unset, Logging: s.Logging, StopGrace: s.StopGrace,
		VolumesFrom: append([]string{"container:" + id}, s.VolumesFrom...), // docker's lend what they have been lent
		NetworkMode: s.NetworkMode, DNS: s.DNS, DNSSearch: s.DNSSearch, DNSOpt: s.DNSOpt, ExtraHosts: s.ExtraHosts, ExternalLinks: s.ExternalLinks,
	}
	if h.Image == "" { // then the service's user is one of its image
		out.User = cmp.Or(h.User, s.User)
	}
	for k, v := range h.Environment {
		if out.Environment == nil {
			out.Environment = map[string]string{}
		}
		out.Environment[k] = v
	}
	for name, ep := range s.Networks {
		if out.Networks == nil {
			out.Networks = map[string]plan.Endpoint{}
		}
		out.Networks[name] = plan.Endpoint{Interface: ep.Interface, Priority: ep.Priority, GwPriority: ep.GwPriority}
	}
	return out
}
