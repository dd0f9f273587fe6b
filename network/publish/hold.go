package publish

import (
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/hostport"
)

// hold is a port that is bound for a sandbox to come.
type hold struct {
	port definition.Port // with the HostPort that it has
	r    *hostport.Reservation
}

// Hold binds p for holder, so that nobody else gets it before BindFor, which takes it over, or Release. It says
// which port it is: p's, or of a range one that is free. What holder holds already is held on. Nothing of it outlives the process.
//
// Errors: ErrConflict, which names the owner, also for what another holder holds; ErrInvalidArgument, an address that the host does not have.
func (a *Ports) Hold(holder string, p definition.Port) (definition.Port, error) {
	if had, ok := a.held(holder, p); ok {
		return had, nil
	}
	r, err := a.bind(p)
	if err != nil {
		return definition.Port{}, err
	}
	p.HostPort, p.HostPortEnd = r.Port, 0
	a.mu.Lock()
	defer a.mu.Unlock()
	a.holds[holder] = append(a.holds[holder], hold{p, r})
	return p, nil
}

// held is what holder holds of p.
func (a *Ports) held(holder string, p definition.Port) (definition.Port, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, h := range a.holds[holder] {
		if h.port.HostIP == p.HostIP && h.fits(p) {
			return h.port, true
		}
	}
	return definition.Port{}, false
}

// fits says whether h is p's port, or one of its range.
func (h hold) fits(p definition.Port) bool {
	return h.port.Protocol == p.Protocol && !p.Any() && p.Within(h.port.HostPort)
}

// Release frees what holder holds and nobody has taken over.
func (a *Ports) Release(holder string) {
	a.mu.Lock()
	held := a.holds[holder]
	delete(a.holds, holder)
	a.mu.Unlock()
	for _, h := range held {
		h.r.Close()
	}
}

// BindFor binds one of the ports that p may have, for a sandbox of holder. What is held for that is taken over as it is, without a moment in which the port
// is free. ErrConflict is as for bind.
func (a *Ports) BindFor(holder string, p definition.Port) (*hostport.Reservation, error) {
	a.mu.Lock()
	held := a.holds[holder]
	for i, h := range held {
		if !h.fits(p) {
			continue
		}
		if h.port.HostIP != p.HostIP {
			if !p.SameHost(h.port) {
				continue // they are in nobody's way
			}
			// A network's own binding address was not known when the port was held. For a moment the port is free: who gets it then is told of.
			a.holds[holder] = append(held[:i:i], held[i+1:]...)
			a.mu.Unlock()
			h.r.Close()
			return a.bind(p)
		}
		a.holds[holder] = append(held[:i:i], held[i+1:]...)
		a.mu.Unlock()
		return h.r, nil
	}
	a.mu.Unlock()
	return a.bind(p)
}

// Again binds the port that bound says, which its container had before. ErrConflict names who has it.
func (a *Ports) Again(bound definition.Port) (*hostport.Reservation, error) {
	a.look.Lock()
	defer a.look.Unlock()
	r, err := hostport.Reserve(bound.Protocol, bound.HostIP, bound.HostPort)
	if err != nil {
		return nil, a.explain(err, bound, bound.HostPort)
	}
	return r, nil
}
