package network

import (
	"github.com/stackrun/stack/network/membership"
	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/sandbox"
)

// adopt takes over what a predecessor left. Networks and sandboxes that are whole go on untouched; those that are not stay
// listed with their problem, for Create, Setup and Mend to repair.
func (d *Driver) adopt() error {
	networks, sandboxes, err := d.records.Load()
	if err != nil {
		return err
	}
	var gone []*membership.Network
	for _, rec := range networks {
		n, err := d.networks.Adopt(rec)
		if err != nil {
			return err
		}
		if n != nil && rec.Deleting {
			gone = append(gone, n)
		}
	}
	forwards, guests, err := sandbox.Adopt(d.Keeper, sandboxes)
	if err != nil {
		return err
	}
	if err := d.adoptFirewall(forwards, guests); err != nil {
		return err
	}
	sandbox.Resume(d.Keeper)
	d.sweep() // before anybody else has d
	for _, n := range gone {
		d.background.Go(func() { d.finishDelete(n) })
	}
	return d.lastOut()
}

// adoptFirewall writes the table anew from the records, in one transaction, which connections do not notice.
func (d *Driver) adoptFirewall(forwards []nft.Forward, guests []nft.Guest) error {
	var networks []nft.Network
	for _, n := range d.networks.Records() {
		if wall, ok := d.media.Of(n.Config).Firewall(n); ok && !n.Deleting {
			networks = append(networks, wall)
		}
	}
	if len(networks) == 0 {
		forwards, guests = nil, nil
	}
	if err := d.fw.Replace(networks, forwards, guests); err != nil {
		return err
	}
	if len(networks) == 0 {
		return d.fw.Withdraw()
	}
	return d.fw.Admit()
}
