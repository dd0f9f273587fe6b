package network

import (
	"context"
	"fmt"

	"github.com/stackrun/stack/network/subnet"
)

// CheckNetwork says why Create would fail for c on this host, where that is not another network: a parent that is not there, a kind of link that the
// kernel does not have. Nothing changes.
func (d *Driver) CheckNetwork(ctx context.Context, c Config) error {
	if err := c.Check(); err != nil {
		return err
	}
	addrs, _, err := d.link.Prefixes(func(link string) bool { return d.names.Ours(link) || d.networks.HasLink(link) })
	if err == nil {
		err = d.media.Of(c).Available(c, d.networks.Records())
	}
	if err == nil {
		err = subnet.Check(c, addrs)
	}
	if err != nil {
		return fmt.Errorf("cannot create network %q: %w", c.ID, err)
	}
	return nil
}
