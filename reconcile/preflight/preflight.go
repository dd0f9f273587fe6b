// Package preflight looks for what would fail half-way through a plan, before anything is changed: ports that somebody holds, sources that are not there,
// addresses that nobody can have, limits that this host cannot give. It only looks.
package preflight

import (
	"context"
	"fmt"

	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/position"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// Inspector finds what of a plan would fail half-way through. It changes nothing. Safe for concurrent use.
type Inspector struct {
	drivers      driver.Set
	capabilities []string // that this process can give
	builds       Builds
	ports        Ports
}

// Builds says whether images can be built. *images.Images does.
type Builds interface {
	// Check says whether the build of s, a service of p, can begin. An error with its place in the file is a *diag.Diagnostic.
	Check(ctx context.Context, p *spec.Project, s *spec.Service) error
}

// Ports knows the ports of the host. *ports.Ports does.
type Ports interface {
	// Own says of a port whether a container of project has it.
	Own(ctx context.Context, project string) (func(network.Port) bool, error)
}

// New is one that asks d, b and p about the host; capabilities are those that this process can give.
func New(d driver.Set, capabilities []string, b Builds, p Ports) *Inspector {
	return &Inspector{drivers: d, capabilities: capabilities, builds: b, ports: p}
}

// survey looks for what would fail half-way through a plan. Each file is one subject.
type survey struct {
	*Inspector
	file *spec.Project // nil: places are not known
	want *plan.Desired
	plan *plan.Plan

	makes  map[string]bool // services of which a container is made
	begins map[string]int  // containers of each service that are started
	diags  diag.List

	networks []network.State // of the host, once asked for
	listed   bool
}

// Survey is what a survey of pl finds, with its places in the file. p may be nil. An error: the host could not be looked at.
func (in *Inspector) Survey(ctx context.Context, p *spec.Project, want *plan.Desired, pl *plan.Plan) (diag.List, error) {
	s := &survey{Inspector: in, file: p, want: want, plan: pl, makes: map[string]bool{}, begins: map[string]int{}}
	for _, step := range pl.Steps {
		switch op := step.Op.(type) {
		case plan.CreateContainer:
			s.makes[op.Service] = true
		case plan.StartContainer:
			s.begins[op.Service]++
		}
	}
	for name := range s.makes {
		s.checkContainer(ctx, name)
	}
	for name := range s.begins {
		s.checkMounts(name)
	}
	s.checkTwice()
	s.checkVolumes()
	for _, check := range []func(context.Context) error{s.checkBuilds, s.checkSubpaths, s.checkPorts, s.checkReach, s.checkNetworks, s.checkEndpoints, s.checkAddresses} {
		if err := check(ctx); err != nil {
			return nil, err
		}
	}
	position.Fill(p, s.diags)
	return s.diags, nil
}

func (s *survey) add(d *diag.Diagnostic) { s.diags = append(s.diags, d) }

// refuse adds an error whose words are err's.
func (s *survey) refuse(code diag.Code, summary, address string, err error) {
	s.add(&diag.Diagnostic{Code: code, Summary: summary, Detail: err.Error(), Address: address, Err: err})
}

// written is the first of paths that the file has a value at, else the first: of keys that say the same thing, the one that the
// user wrote.
func (s *survey) written(paths ...string) string {
	for _, p := range paths {
		if position.Has(s.file, p) {
			return p
		}
	}
	return paths[0]
}

// hostNetworks are the networks that the host has. They are asked for once.
func (s *survey) hostNetworks(ctx context.Context) ([]network.State, error) {
	if !s.listed {
		list, err := s.drivers.Networks.List(ctx)
		if err != nil {
			return nil, fmt.Errorf("cannot list networks: %w", err)
		}
		s.networks, s.listed = list, true
	}
	return s.networks, nil
}
