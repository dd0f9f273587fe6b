// Package ports chooses free ports of the host in place of published ones that somebody else has, and knows which
// ports are a project's own. Package autoport says which ports may be chosen.
package ports

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/autoport"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/spec/diag"
)

// Ports are the ports of the host that projects publish. Safe for concurrent use; what is of a project is the matter of who has its turn.
type Ports struct {
	drivers driver.Set
	wishes  *wish.Book
	left    Leftovers
}

// Leftovers knows of containers whose record is gone and of which something is left.
type Leftovers interface {
	// Vanished are the ids of those of project that were there and are not any more, there being those that are.
	Vanished(project string, there map[string]bool) []string
}

// New are those of d; w says what projects have chosen.
func New(d driver.Set, w *wish.Book, left Leftovers) *Ports {
	return &Ports{drivers: d, wishes: w, left: left}
}

// Fill publishes in want what was chosen for its ports: by the plan that o comes of, or at an earlier up.
func (hp *Ports) Fill(want *plan.Desired, o ask.UpOptions) error {
	switch {
	case o.Chosen != nil:
		autoport.Fill(want, o.Chosen)
		return nil
	case o.Ports == ask.PortsOfFile && len(o.Services) == 0:
		return nil
	}
	r, err := hp.wishes.Of(want.Project)
	if r == nil || len(r.Ports) == 0 {
		return err
	}
	chosen := r.Ports
	if o.Ports == ask.PortsOfFile { // of the services that the up is for; the others keep theirs
		chosen = map[string][]plan.Port{}
		of := want.Selected(o.Services, o.NoDeps)
		for name, ports := range r.Ports {
			if !slices.Contains(of, name) {
				chosen[name] = ports
			}
		}
	}
	autoport.Fill(want, chosen)
	return nil
}

// Choose holds the host ports that want publishes, and publishes a free one in the place of each that somebody else has. What is chosen is held too, until
// Release: nobody gets it before a container of the project has it, or the store says that it is this project's (wish.Book.BeginUp). It says what it
// has chosen and why.
//
// Two who choose at once do not get one port: each binds it first and looks at the records of others then, and who has bound it keeps it bound
// until it is on record.
func (hp *Ports) Choose(ctx context.Context, want *plan.Desired, o ask.UpOptions) (diag.List, error) {
	if o.Ports != ask.PortsAuto || o.Chosen != nil {
		return nil, nil
	}
	own, err := hp.Own(ctx, want.Project)
	if err != nil {
		return nil, err
	}
	var said diag.List
	for _, name := range want.Selected(o.Services, o.NoDeps) {
		s := want.Services[name]
		if s.Replicas == 0 {
			continue
		}
		for i, p := range s.Spec.Ports {
			out, err := bundle.Port(p)
			if err != nil || !autoport.Replaceable(p) || own(out) {
				continue // what is wrong with it is told by checkPorts
			}
			_, err = hp.drivers.Networks.HoldPort(ctx, want.Project, out)
			if !errors.Is(err, errdefs.ErrConflict) {
				continue
			}
			n, failed := hp.freePort(ctx, want, name, p)
			if failed != nil {
				return nil, failed
			}
			if n == 0 {
				continue
			}
			asked := p.AsAsked().Published
			s.Spec.Ports[i].Published, s.Spec.Ports[i].Asked = n, asked
			said = append(said, &diag.Diagnostic{Severity: diag.Warning, Code: "port-chosen", Summary: "another host port is published than the file says",
				Detail:  fmt.Sprintf("service %s publishes %d in place of %d: %s", name, n, asked, err),
				Address: fmt.Sprintf("services.%s.ports[%d]", name, i)})
		}
	}
	return said, nil
}

// freePort holds a port for p of a service, and says which; 0 = none is free.
func (hp *Ports) freePort(ctx context.Context, want *plan.Desired, service string, p plan.Port) (uint16, error) {
	reserved, err := hp.chosenElsewhere(want.Project)
	if err != nil {
		return 0, err
	}
	for n := range autoport.Candidates(want.Project, service, p) {
		if reserved[n] || autoport.Published(want, n) {
			continue
		}
		p.Published = n
		out, err := bundle.Port(p)
		if err != nil {
			return 0, nil
		}
		if _, err = hp.drivers.Networks.HoldPort(ctx, want.Project, out); errors.Is(err, errdefs.ErrConflict) {
			continue
		} else if err != nil {
			return 0, nil // told by checkPorts, of the port that the file names
		}
		// Who had chosen it and has let it go since has recorded it before.
		if reserved, err = hp.chosenElsewhere(want.Project); err != nil {
			return 0, err
		}
		if !reserved[n] {
			return n, nil
		}
	}
	return 0, nil
}

// chosenElsewhere are the ports that other projects have chosen, whether they run or not.
func (hp *Ports) chosenElsewhere(project string) (map[uint16]bool, error) {
	all := map[uint16]bool{}
	err := hp.wishes.Records(func(name string, r *wish.Record) error {
		if name == project {
			return nil
		}
		for _, ports := range r.Ports {
			for _, p := range ports {
				all[p.Published] = true
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read which ports are chosen: %w", err)
	}
	return all, nil
}

// Own says of a port whether a container of project has it: it is kept by that, or freed by the plan before somebody else takes it.
func (hp *Ports) Own(ctx context.Context, project string) (func(network.Port) bool, error) {
	ours, err := inventory.List(ctx, hp.drivers, project)
	if err != nil {
		return nil, err
	}
	mine := map[string]bool{}
	for _, c := range ours {
		mine[c.ID] = true
	}
	for _, id := range hp.left.Vanished(project, mine) { // what is left of it goes first
		mine[id] = true
	}
	boxes, err := hp.drivers.Networks.Sandboxes(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list network namespaces: %w", err)
	}
	return func(p network.Port) bool {
		for _, box := range boxes {
			if !mine[box.ContainerID] {
				continue
			}
			for _, q := range box.Ports {
				if q.Protocol == p.Protocol && p.HostPort <= q.HostPort && q.HostPort <= max(p.HostPort, p.HostPortEnd) {
					return true
				}
			}
		}
		return false
	}, nil
}

// Release frees what Choose has held for project and no container has. Precondition: what was chosen and is to stay is on record.
func (hp *Ports) Release(ctx context.Context, project string) {
	hp.drivers.Networks.ReleasePorts(context.WithoutCancel(ctx), project)
}
