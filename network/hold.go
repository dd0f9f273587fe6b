package network

import (
	"context"

	"github.com/stackrun/stack/network/hostport"
)

// hold is a port that is bound for a sandbox to come.
type hold struct {
	port Port // with the HostPort that it has
	r    *hostport.Reservation
}

// HoldPort binds p for holder, so that nobody else gets it before a sandbox whose SandboxConfig.Holder that is, which takes it over, or ReleasePorts. It says
// which port it is: p's, or of a range one that is free. What holder holds already is held on. Nothing of it outlives the process: who must remember
// which port it is, records it before the sandbox is made.
//
// Errors: ErrConflict, which names the owner, also for what another holder holds; ErrInvalidArgument, an address that the host does not have.
func (d *Driver) HoldPort(_ context.Context, holder string, p Port) (Port, error) {
	if had, ok := d.held(holder, p); ok {
		return had, nil
	}
	r, err := d.reserve(p)
	if err != nil {
		return Port{}, err
	}
	p.HostPort, p.HostPortEnd = r.Port, 0
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.holds == nil {
		d.holds = map[string][]hold{}
	}
	d.holds[holder] = append(d.holds[holder], hold{p, r})
	return p, nil
}

// held is what holder holds of p.
func (d *Driver) held(holder string, p Port) (Port, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, h := range d.holds[holder] {
		if h.port.HostIP == p.HostIP && h.fits(p) {
			return h.port, true
		}
	}
	return Port{}, false
}

// fits says whether h is p's port, or one of its range.
func (h hold) fits(p Port) bool {
	return h.port.Protocol == p.Protocol && !p.Any() && p.Within(h.port.HostPort)
}

// ReleasePorts frees what holder holds and no sandbox has taken over.
func (d *Driver) ReleasePorts(_ context.Context, holder string) {
	d.mu.Lock()
	held := d.holds[holder]
	delete(d.holds, holder)
	d.mu.Unlock()
	for _, h := range held {
		h.r.Close()
	}
}

// bindFor is reserve for a sandbox of holder: what is held for it is taken over as it is, without a moment in which the port is free.
func (d *Driver) bindFor(holder string, p Port) (*hostport.Reservation, error) {
	d.mu.Lock()
	held := d.holds[holder]
	for i, h := range held {
		if !h.fits(p) {
			continue
		}
		if h.port.HostIP != p.HostIP {
			if !p.SameHost(h.port) {
				continue // they are in nobody's way
			}
			// A network's own binding address was not known when the port was held. For a moment the port is free: who gets it then is told of.
			d.holds[holder] = append(held[:i:i], held[i+1:]...)
			d.mu.Unlock()
			h.r.Close()
			return d.reserve(p)
		}
		d.holds[holder] = append(held[:i:i], held[i+1:]...)
		d.mu.Unlock()
		return h.r, nil
	}
	d.mu.Unlock()
	return d.reserve(p)
}
