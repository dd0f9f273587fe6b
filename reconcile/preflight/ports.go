package preflight

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/autoport"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/position"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// checkTwice finds a host port that two containers of the file want, of services that the plan makes or starts: what the others
// want is no matter until they are to run, and a container that runs already is the owner that checkPorts names.
func (s *survey) checkTwice() {
	owner := map[plan.Port]string{}
	for _, name := range s.want.Selected(nil, true) {
		if !s.makes[name] && s.begins[name] == 0 {
			continue
		}
		service := s.want.Services[name]
		for i, port := range service.Spec.Ports {
			if port.Published == 0 || service.Replicas == 0 {
				continue
			}
			at := fmt.Sprintf("services.%s.ports[%d]", name, i)
			key := plan.Port{HostIP: port.HostIP, Published: port.Published, Protocol: port.Protocol}
			last := max(port.Published, port.PublishedEnd)
			if service.Replicas > int(last-port.Published)+1 {
				which := strconv.Itoa(int(port.Published))
				if last > port.Published {
					which += "-" + strconv.Itoa(int(last))
				}
				s.add(&diag.Diagnostic{Code: "port-of-several", Summary: "several containers cannot publish one port", Detail: fmt.Sprintf("service %s has %d containers and publishes %s", name, service.Replicas, which),
					Hint: fmt.Sprintf("publish a range such as %d-%d:%d, or no fixed port", port.Published, int(port.Published)+service.Replicas-1, port.Target), Address: at})
			} else if last > port.Published {
				continue // any that is free will do
			} else if first := owner[key]; first != "" {
				s.add(&diag.Diagnostic{Code: "port-twice", Summary: "two services publish one port", Detail: fmt.Sprintf("%d is published by %s and by %s", port.Published, first, name), Address: at})
			}
			owner[key] = name
		}
	}
}

// checkPorts asks for the ports of containers that are to start, but for those that containers of this project hold: they
// are kept by their container, or freed by the plan before somebody else takes them.
func (s *survey) checkPorts(ctx context.Context) error {
	publishes := false
	for name := range s.begins {
		publishes = publishes || len(s.want.Services[name].Spec.Ports) > 0
	}
	if !publishes {
		return nil // then nobody needs to look at the host for it
	}
	held, err := s.ports.Own(ctx, s.want.Project)
	if err != nil {
		return err
	}
	var claims []Claim
	for name := range s.begins {
		claims = append(claims, Claims(name, s.want.Services[name].Spec.Ports, "--auto-ports")...)
	}
	s.diags = append(s.diags, s.checkClaims(ctx, s.want.Project, claims, held)...)
	return nil
}

// Claim is a port that a container is to publish.
type Claim struct {
	Port plan.Port
	At   string // the path of the file that says so; "" = the command line does
	// Auto is what lets a free port be chosen in its place; "" = nothing does.
	Auto string
}

// Claims are the ports of a container of service, as the file has them.
func Claims(service string, ports []plan.Port, auto string) []Claim {
	claims := make([]Claim, len(ports))
	for i, port := range ports {
		claims[i] = Claim{Port: port, At: fmt.Sprintf("services.%s.ports[%d]", service, i), Auto: auto}
	}
	return claims
}

// CheckStarts says which ports containers of project, that are there and are to start, could not publish, and who has them. Those that the project's containers hold are their own affair: they are
// kept, or freed before. It changes nothing. p may be nil: places are not known then. An error: the host could not be looked at.
func (in *Inspector) CheckStarts(ctx context.Context, p *spec.Project, project string, claims []Claim) (diag.List, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	held, err := in.ports.Own(ctx, project)
	if err != nil {
		return nil, err
	}
	diags := in.checkClaims(ctx, project, claims, held)
	position.Fill(p, diags)
	return diags, nil
}

// CheckOneOff is CheckStarts for a container that is one more: nobody makes way for it.
func (in *Inspector) CheckOneOff(ctx context.Context, p *spec.Project, claims []Claim) diag.List {
	diags := in.checkClaims(ctx, p.Name, claims, func(network.Port) bool { return false })
	position.Fill(p, diags)
	return diags
}

func (in *Inspector) checkClaims(ctx context.Context, project string, claims []Claim, held func(network.Port) bool) (diags diag.List) {
	for _, c := range claims {
		out, err := bundle.Port(c.Port)
		if err != nil {
			diags = append(diags, &diag.Diagnostic{Code: "bad-port", Summary: "a published port has a bad host address", Detail: err.Error(), Address: c.At, Err: err})
			continue
		}
		if out.HostPort == 0 || held(out) {
			continue
		}
		if err := in.drivers.Networks.CheckPorts(ctx, project, []network.Port{out}); err != nil {
			d := cannotPublish(c.At, err)
			if d.Code == "port-taken" && c.Auto != "" && autoport.Replaceable(c.Port) {
				d.Hint += ", or let one be chosen with " + c.Auto
			}
			diags = append(diags, d)
		}
	}
	return diags
}

// cannotPublish tells a port that somebody has from one that nobody could publish here.
func cannotPublish(at string, err error) *diag.Diagnostic {
	d := &diag.Diagnostic{Code: "port-taken", Summary: "a port that is to be published is taken", Detail: err.Error(),
		Hint: "stop its owner, or publish another port", Address: at, Err: err}
	switch {
	case errors.Is(err, errdefs.ErrConflict): // publish.TakenError says the same where only the start finds out
	case errors.Is(err, errdefs.ErrInvalidArgument):
		d.Code, d.Summary, d.Hint = "bad-port", "a port is to be published on an address that this host does not have", "name an address that `ip address` shows, or leave it out to publish on all of them"
	default:
		d.Code, d.Summary, d.Hint = "bad-port", "a port cannot be published", ""
	}
	return d
}

// checkReach warns of ports that nobody can reach: those of a container that is on internal networks only, and of one whose default route is by a network that
// passes the host by.
func (s *survey) checkReach(ctx context.Context) error {
	for name := range s.begins {
		c := &s.want.Services[name].Spec
		if len(c.Ports) == 0 || len(c.Networks) == 0 {
			continue
		}
		configs, err := s.networkConfigs(ctx, c)
		if err != nil {
			return err
		}
		way := ""
		for _, net := range bundle.NetworkOrder(c) {
			cfg, known := configs[net]
			if known && cfg.Outward() && (way == "" || c.Networks[net].GwPriority > c.Networks[way].GwPriority) {
				way = net
			}
		}
		switch {
		case len(configs) < len(c.Networks): // told by others
		case way != "" && !configs[way].Publishes():
			s.add(&diag.Diagnostic{Severity: diag.Warning, Code: "port-unreachable", Summary: "ports of a service are not published, for the host is not on the way to it",
				Detail: fmt.Sprintf("the default route of service %s is by network %s of driver %s: there its ports are reached at its own address", name, way, configs[way].Driver),
				Hint:   "remove ports, or give a bridge network the higher gw_priority", Address: "services." + name + ".ports"})
		case way == "":
			s.add(&diag.Diagnostic{Severity: diag.Warning, Code: "port-unreachable", Summary: "ports of a service on internal networks are not published",
				Detail: fmt.Sprintf("service %s is on %s only, from which no way leads to the host: internal, or without a parent", name, strings.Join(slices.Sorted(maps.Keys(c.Networks)), ", ")),
				Hint:   "add a network that is not internal, or remove ports", Address: "services." + name + ".ports"})
		}
	}
	return nil
}
