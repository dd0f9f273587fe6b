package network

import (
	"context"
	"fmt"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/network/membership"
	"github.com/stackrun/stack/network/record"
)

// Delete removes the network id. ErrConflict while containers are on it. Not there = success. The link itself goes in the
// background, for that takes the kernel some tens of milliseconds; Settle waits for it.
func (d *Driver) Delete(ctx context.Context, id string) error {
	defer d.lock(id)()
	n := d.networks.Find(id)
	if n == nil {
		return nil
	}
	if users := d.book.Users(id); len(users) > 0 {
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot remove network %q: it is used by %s", id, strings.Join(users, ", ")))
	}
	rec, err := n.Condemn()
	if err != nil {
		return fmt.Errorf("cannot remove network %q: %w", id, err)
	}
	failpoint.Hit("network.delete.recorded")
	if err := d.media.Of(rec.Config).Lower(rec); err != nil {
		return fmt.Errorf("cannot remove network %q: %w", id, err)
	}
	failpoint.Hit("network.delete.firewall")
	n.Retire()
	d.lastOut()
	d.background.Go(func() { d.finishDelete(n) })
	return nil
}

// finishDelete removes the link of a network that is gone for the user.
func (d *Driver) finishDelete(n *membership.Network) {
	rec := n.Record()
	defer d.lock(rec.Config.ID)()
	if !n.IsRetired() {
		return // and the name of its link is somebody else's by now
	}
	if d.media.Of(rec.Config).Remove(rec) != nil {
		return // recorded: the next daemon tries again
	}
	failpoint.Hit("network.delete.bridge")
	n.Bury()
}

// lastOut puts the host's settings back when no network needs them any more, another instance's included; what was changed
// then stays recorded for this instance's next last network.
func (d *Driver) lastOut() error {
	return d.networks.Freeze(func(networks []record.Network) error { // a new one would need what is put back
		any, outward := false, false
		for _, n := range networks {
			_, walled := d.media.Of(n.Config).Firewall(n)
			any = any || walled && !n.Deleting
			outward = outward || walled && !n.Deleting && n.Config.Outward()
		}
		if !any {
			if err := d.fw.Withdraw(); err != nil {
				return err
			}
		}
		if outward {
			return nil
		}
		if others, err := d.fw.Others(); err != nil || others {
			return err
		}
		return d.sysctls.Restore()
	})
}
