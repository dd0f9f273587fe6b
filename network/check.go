package network

import (
	"context"
	"fmt"
)

// CheckNetwork says why Create would fail for c on this host, where that is not another network: a parent that is not there, a kind of link that the
// kernel does not have. Nothing changes.
func (d *Driver) CheckNetwork(ctx context.Context, c Config) error {
	if err := c.CheckSettings(); err != nil {
		return err
	}
	if err := d.media.Of(c).Available(c, d.networks.Records()); err != nil {
		return fmt.Errorf("cannot create network %q: %w", c.ID, err)
	}
	return nil
}
