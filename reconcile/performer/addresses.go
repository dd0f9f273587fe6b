package performer

import (
	"encoding/json"
	"net/netip"

	"github.com/stackrun/stack/reconcile/plan"
)

// keepAddresses says, before the first container of the pass is connected, which addresses the project's containers have fixed: who gets any address
// gets another one, also when it is started first, or while they are stopped.
func (p *Performer) keepAddresses() {
	p.addresses.Do(func() {
		fixed := map[string][]netip.Addr{}
		add := func(networks map[string]plan.Endpoint) {
			for id, ep := range networks {
				for _, text := range []string{ep.IPv4, ep.IPv6} {
					if a, err := netip.ParseAddr(text); err == nil {
						fixed[id] = append(fixed[id], a)
					}
				}
			}
		}
		for _, s := range p.Want.Services {
			add(s.Spec.Networks)
		}
		if p.Have != nil {
			for i := range p.Have.Containers {
				if c := &p.Have.Containers[i]; p.Want.Services[c.Service] == nil { // as for a start, which goes by no file
					var made struct {
						Spec struct {
							Networks map[string]plan.Endpoint `json:"networks"`
						} `json:"spec"`
					}
					if json.Unmarshal([]byte(c.Encoded), &made) == nil {
						add(made.Spec.Networks)
					}
				}
			}
		}
		p.kit.drivers.Networks.KeepAddresses(p.Want.Project, fixed)
	})
}
