package wiring

import (
	"context"
	"fmt"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/resource"
)

// linkedHosts are the containers that c, which belongs to no file, is linked to on the default network, where the DNS knows no names: as with dockerd they are in
// its /etc/hosts, with the addresses that they have at its start. ErrConflict when one of them does not run.
func (w *Wiring) linkedHosts(ctx context.Context, c *inventory.Container) ([]network.HostsEntry, error) {
	_, there := c.Spec.Networks[resource.DefaultNetwork]
	if c.Alone == nil || !there || len(c.Spec.ExternalLinks) == 0 {
		return nil, nil
	}
	boxes, err := inventory.Sandboxes(ctx, w.drivers)
	if err != nil {
		return nil, err
	}
	var out []network.HostsEntry
	for _, link := range c.Spec.ExternalLinks {
		name, alias := externalLink(link)
		other, err := w.runningByRef(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("cannot link to %s as %s: %w", name, alias, err)
		}
		found := false
		for _, ep := range boxes[other.ID].Endpoints {
			if ep.Network == resource.DefaultNetwork && ep.Addr4.IsValid() {
				found = true
				out = append(out, network.HostsEntry{Addr: ep.Addr4.Addr(), Names: []string{alias, objectid.Short(other.ID), other.Name}})
			}
		}
		if !found {
			return nil, errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot link to %s as %s: it is not on the default network", name, alias))
		}
	}
	return out, nil
}
