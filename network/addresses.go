package network

import "net/netip"

// KeepAddresses keeps addresses, by the id of their network, for those of holder's containers that ask for one of them: another gets it only when no
// other is free. It replaces what was kept for holder, and does not outlive the process. The networks need not be there.
func (d *Driver) KeepAddresses(holder string, addrs map[string][]netip.Addr) {
	d.networks.KeepAddresses(holder, addrs)
}
