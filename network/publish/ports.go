// Package publish decides which ports of the host containers get: it binds them, keeps those that are held for a project whose containers are still to be
// made, and names who has one that is taken.
package publish

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/hostport"
)

// Containers are those that have ports already.
type Containers interface {
	// Publisher names the one that is in the way of p at host port n; "" = there is none.
	Publisher(p definition.Port, n uint16) string
}

// Ports are the host's, as far as they are given out here. Safe for concurrent use.
type Ports struct {
	containers Containers

	look  sync.Mutex // before mu; what Check binds for a look must be in nobody's way
	mu    sync.Mutex
	holds map[string][]hold // by holder
}

// New are Ports of which none is held. The containers' own are theirs to bind and to close.
func New(c Containers) *Ports { return &Ports{containers: c, holds: map[string][]hold{}} }

// Close frees what is held.
func (a *Ports) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, held := range a.holds {
		for _, h := range held {
			h.r.Close()
		}
	}
	a.holds = map[string][]hold{}
}

// bind binds one of the ports that p may have. ErrConflict names who has it, of a range who have its first ones.
func (a *Ports) bind(p definition.Port) (*hostport.Reservation, error) {
	a.look.Lock()
	defer a.look.Unlock()
	return a.try(p)
}

// try is bind for who has look.
func (a *Ports) try(p definition.Port) (*hostport.Reservation, error) {
	var last error
	for _, n := range p.Candidates() {
		r, err := hostport.Reserve(p.Protocol, p.HostIP, n)
		if err == nil {
			return r, nil
		}
		last = a.explain(err, p, n)
		if !errors.Is(err, errdefs.ErrConflict) {
			break
		}
	}
	if p.Ranged() && errors.Is(last, errdefs.ErrConflict) {
		return nil, a.full(p)
	}
	return nil, last
}

// full says that every port of p's range is taken, and by whom.
func (a *Ports) full(p definition.Port) error {
	const most = 4 // that are named: each owner is looked for among all processes
	var owners []string
	for _, n := range p.Candidates()[:min(most, len(p.Candidates()))] {
		owners = append(owners, fmt.Sprintf("%d by %s", n, a.owner(p, n)))
	}
	if more := len(p.Candidates()) - len(owners); more > 0 {
		owners = append(owners, fmt.Sprintf("and %d more", more))
	}
	host, proto, _ := strings.Cut(hostport.Name(p.Protocol, p.HostIP, p.HostPort), "/")
	return &TakenError{fmt.Sprintf("cannot publish %s-%d/%s: every port of the range is taken, %s", host, p.HostPortEnd, proto, strings.Join(owners, ", "))}
}

func (a *Ports) explain(err error, p definition.Port, n uint16) error {
	if !errors.Is(err, errdefs.ErrConflict) {
		return fmt.Errorf("cannot publish %s: %w", hostport.Name(p.Protocol, p.HostIP, n), err)
	}
	return &TakenError{fmt.Sprintf("cannot publish %s: port is already allocated, to %s", hostport.Name(p.Protocol, p.HostIP, n), a.owner(p, n))}
}

// TakenError is a port that somebody has, and who it is. errdefs.ErrConflict.
type TakenError struct{ text string }

func (e *TakenError) Error() string { return e.text }
func (e *TakenError) Unwrap() error { return errdefs.ErrConflict }

// Advice is what the user can do.
func (e *TakenError) Advice() string { return "stop its owner, or publish another port" }

// owner names who has port n of p: a container of ours, a project that holds it, or a process.
func (a *Ports) owner(p definition.Port, n uint16) string {
	if who := a.containers.Publisher(p, n); who != "" {
		return "container " + who
	}
	a.mu.Lock()
	for holder, held := range a.holds {
		for _, h := range held {
			if p.Collides(n, h.port) {
				a.mu.Unlock()
				return "project " + holder + ", which is starting"
			}
		}
	}
	a.mu.Unlock()
	if who := hostport.Owner(p.Protocol, p.HostIP, n); who != "" {
		return who
	}
	return "a process that cannot be seen from here"
}

// Check says which of ports cannot be published now, every one of them, and who has it. It binds and frees
// them again, one Check at a time; nothing else changes. What is held for holder can be published by it; "" = nothing is. ErrConflict.
func (a *Ports) Check(holder string, ports []definition.Port) error {
	a.look.Lock()
	defer a.look.Unlock()
	var held []*hostport.Reservation
	defer func() {
		for _, r := range held {
			r.Close()
		}
	}()
	var errs []error
	for i, p := range ports {
		if j := slices.IndexFunc(ports[:i], func(o definition.Port) bool {
			return !p.Any() && !p.Ranged() && !o.Ranged() && p.Collides(p.HostPort, o)
		}); j >= 0 {
			errs = append(errs, errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot publish %s: it is to be published twice, for container ports %d and %d",
				hostport.Name(p.Protocol, p.HostIP, p.HostPort), ports[j].ContainerPort, p.ContainerPort)))
			continue
		}
		if _, ok := a.held(holder, p); ok {
			continue
		}
		r, err := a.try(p)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		held = append(held, r)
	}
	return errors.Join(errs...)
}
