package network

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/network/record"
)

// deletingKey is where a network stays in d.networks while only its link is left, so that its bridge's name
// and subnet are not given out; no user's name contains a NUL. Networks can have one parent.
func deletingKey(rec record.Network) string { return "\x00" + rec.Config.ID + "\x00" + rec.Link }

// Delete removes the network id. ErrConflict while containers are on it. Not there = success. The link itself goes in the
// background, for that takes the kernel some tens of milliseconds; Settle waits for it.
func (d *Driver) Delete(ctx context.Context, id string) error {
	defer d.objects.lock("network " + id)()
	d.mu.Lock()
	n := d.networks[id]
	if n == nil {
		d.mu.Unlock()
		return nil
	}
	var users []string
	for _, s := range d.sandboxes {
		for _, ep := range s.rec.Endpoints {
			if ep.Network == id {
				users = append(users, s.rec.Config.Name())
			}
		}
	}
	d.mu.Unlock()
	if len(users) > 0 {
		slices.Sort(users)
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot remove network %q: it is used by %s", id, strings.Join(users, ", ")))
	}
	rec := n.rec
	rec.Deleting = true
	if err := d.records.PutNetwork(rec); err != nil {
		return fmt.Errorf("cannot remove network %q: %w", id, err)
	}
	failpoint.Hit("network.delete.recorded")
	if err := d.medium(rec).lower(rec); err != nil {
		return fmt.Errorf("cannot remove network %q: %w", id, err)
	}
	failpoint.Hit("network.delete.firewall")
	d.mu.Lock()
	delete(d.networks, id)
	n.rec = rec
	d.networks[deletingKey(rec)] = n
	d.mu.Unlock()
	d.lastOut()
	d.background.Go(func() { d.finishDelete(n) })
	return nil
}

// finishDelete removes the link of a network that is gone for the user.
func (d *Driver) finishDelete(n *network) {
	defer d.objects.lock("network " + n.rec.Config.ID)()
	d.mu.Lock()
	done := d.networks[deletingKey(n.rec)] != n // and the name of its link is somebody else's by now
	d.mu.Unlock()
	if done {
		return
	}
	if d.medium(n.rec).remove(n) != nil {
		return // recorded: the next daemon tries again
	}
	failpoint.Hit("network.delete.bridge")
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.networks, deletingKey(n.rec))
	// The user may have made a network of that name anew; its record has replaced this one.
	if d.networks[n.rec.Config.ID] == nil {
		d.records.DropNetwork(n.rec.Config.ID)
	}
}

// lastOut puts the host's settings back when no network needs them any more, another instance's included; what was changed
// then stays recorded for this instance's next last network.
func (d *Driver) lastOut() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	any, outward := false, false
	for _, n := range d.networks {
		_, walled := d.medium(n.rec).firewall(n.rec)
		any = any || walled && !n.rec.Deleting
		outward = outward || walled && !n.rec.Deleting && n.rec.Config.Outward()
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
}
