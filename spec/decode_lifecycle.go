package spec

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/stackrun/stack/spec/tree"
)

var dependencyFields = fields[Dependency]{
	"condition": func(d *decoder, n *tree.Node, v *Dependency) {
		v.Condition = Condition(d.oneOf(n, string(ServiceStarted), string(ServiceHealthy), string(ServiceCompleted)))
	},
	"restart":  func(d *decoder, n *tree.Node, v *Dependency) { v.Restart = d.boolean(n) },
	"required": func(d *decoder, n *tree.Node, v *Dependency) { v.Required = d.boolean(n) },
}

func (d *decoder) dependsOn(n *tree.Node) map[string]Dependency {
	out := map[string]Dependency{}
	switch n.Kind {
	case tree.Sequence:
		for _, it := range n.Items {
			name := d.str(it)
			if _, twice := out[name]; twice {
				d.err(CodeDuplicate, it, fmt.Sprintf("%s: %q is there twice", n.Path, name), "remove one")
			}
			out[name] = Dependency{Condition: ServiceStarted, Required: true}
			d.source(n.Path+"."+name, it)
		}
	case tree.Mapping:
		for _, p := range n.Pairs {
			v := Dependency{Required: true}
			if p.Value.Kind == tree.Mapping && p.Value.Get("condition").IsNull() || p.Value.IsNull() {
				d.err(CodeMissing, p.Key, p.Key.Path+" has no condition", "write condition: service_started, service_healthy or service_completed_successfully")
				continue
			}
			object(d, p.Value, dependencyFields, &v)
			out[p.Key.Value] = v
		}
	default:
		d.want(n, "a mapping or a list of services")
	}
	return out
}

var healthFields = fields[HealthCheck]{
	"test":           func(d *decoder, n *tree.Node, h *HealthCheck) { h.Test = d.healthTest(n) },
	"interval":       func(d *decoder, n *tree.Node, h *HealthCheck) { h.Interval = d.duration(n) },
	"timeout":        func(d *decoder, n *tree.Node, h *HealthCheck) { h.Timeout = d.duration(n) },
	"start_period":   func(d *decoder, n *tree.Node, h *HealthCheck) { h.StartPeriod = d.duration(n) },
	"start_interval": func(d *decoder, n *tree.Node, h *HealthCheck) { h.StartInterval = d.duration(n) },
	"retries":        func(d *decoder, n *tree.Node, h *HealthCheck) { h.Retries = d.count(n) },
	"disable":        func(d *decoder, n *tree.Node, h *HealthCheck) { h.Disable = d.boolean(n) },
}

func (d *decoder) healthCheck(n *tree.Node) *HealthCheck {
	h := &HealthCheck{}
	if !object(d, n, healthFields, h) {
		return nil
	}
	if len(h.Test) > 0 && h.Test[0] == "NONE" {
		h.Disable = true
	}
	if si := n.Get("start_interval"); !si.IsNull() && n.Get("start_period").IsNull() {
		d.err(CodeMissing, si, n.Path+": start_interval needs start_period", "say how long the start may take: start_period: 30s")
	}
	return h
}

func (d *decoder) healthTest(n *tree.Node) []string {
	if n.Kind == tree.Scalar {
		if s := d.str(n); s != "" {
			return []string{"CMD-SHELL", s}
		}
		return nil
	}
	var test []string
	for _, it := range d.items(n) {
		test = append(test, d.str(it))
	}
	if len(test) == 0 {
		return nil
	}
	switch test[0] {
	case "NONE":
	case "CMD", "CMD-SHELL":
		if len(test) == 1 {
			d.bad(n, test[0]+" without a command", "")
		}
	default:
		d.bad(n, fmt.Sprintf("the first word %q is not known", test[0]), "start with CMD, CMD-SHELL or NONE")
	}
	return test
}

// deploy is the deploy section: what of it has an effect on one host.
type deploy struct {
	replicas     *tree.Node
	restart      *restartSection
	limits       resourceSection
	reservations resourceSection
}

type restartSection struct {
	condition string
	policy    RestartPolicy
}

type resourceSection struct{ cpus, memory, pids *tree.Node }

var deployFields = fields[deploy]{
	"replicas": func(d *decoder, n *tree.Node, v *deploy) { v.replicas = n },
	"restart_policy": func(d *decoder, n *tree.Node, v *deploy) {
		v.restart = &restartSection{condition: "any"} // the specification's default
		object(d, n, restartFields, v.restart)
	},
	"resources": func(d *decoder, n *tree.Node, v *deploy) { object(d, n, resourcesFields, v) },
}

var restartFields = fields[restartSection]{
	"condition": func(d *decoder, n *tree.Node, r *restartSection) {
		r.condition = d.oneOf(n, "none", "on-failure", "any")
	},
	"delay":        func(d *decoder, n *tree.Node, r *restartSection) { r.policy.Delay = d.duration(n) },
	"max_attempts": func(d *decoder, n *tree.Node, r *restartSection) { r.policy.MaxAttempts = d.count(n) },
	"window":       func(d *decoder, n *tree.Node, r *restartSection) { r.policy.Window = d.duration(n) },
}

var resourcesFields = fields[deploy]{
	"limits":       func(d *decoder, n *tree.Node, v *deploy) { object(d, n, limitFields, &v.limits) },
	"reservations": func(d *decoder, n *tree.Node, v *deploy) { object(d, n, reservationFields, &v.reservations) },
}

var limitFields = fields[resourceSection]{
	"cpus":   func(d *decoder, n *tree.Node, r *resourceSection) { r.cpus = n },
	"memory": func(d *decoder, n *tree.Node, r *resourceSection) { r.memory = n },
	"pids":   func(d *decoder, n *tree.Node, r *resourceSection) { r.pids = n },
}

var reservationFields = fields[resourceSection]{
	"memory": func(d *decoder, n *tree.Node, r *resourceSection) { r.memory = n },
}

// resources joins deploy.resources with the flat keys; where both speak they must agree.
func (d *decoder) resources(s *draft) {
	r := &s.Service.Resources
	conflict := func(n *tree.Node, flat, a, b string) {
		at := s.flat[flat]
		d.err(CodeConflict, n, fmt.Sprintf("%s is %s, but %s (%s) is %s", n.Path, b, at.Path, at.Pos(), a), "say it once")
	}
	if n := s.deploy.limits.cpus; n != nil {
		v := d.number(n)
		if s.flat["cpus"] != nil && r.CPUs != v {
			conflict(n, "cpus", ftoa(r.CPUs), ftoa(v))
		}
		r.CPUs = v
	}
	if n := s.deploy.limits.memory; n != nil {
		v := d.bytes(n)
		if s.flat["memory"] != nil && r.Memory != v {
			conflict(n, "memory", strconv.FormatInt(r.Memory, 10), strconv.FormatInt(v, 10))
		}
		r.Memory = v
	}
	if n := s.deploy.limits.pids; n != nil {
		v := d.integer(n, -1, math.MaxInt64)
		if s.flat["pids"] != nil && r.Pids != v {
			conflict(n, "pids", strconv.FormatInt(r.Pids, 10), strconv.FormatInt(v, 10))
		}
		r.Pids = v
	}
	if n := s.deploy.reservations.memory; n != nil {
		v := d.bytes(n)
		if s.flat["reservation"] != nil && r.MemoryReservation != v {
			conflict(n, "reservation", strconv.FormatInt(r.MemoryReservation, 10), strconv.FormatInt(v, 10))
		}
		r.MemoryReservation = v
	}
	if r.CPUs != 0 && r.CPUQuota != 0 {
		n := s.node.Get("cpu_quota")
		d.err(CodeConflict, n, n.Path+" and cpus both limit the CPU", "keep one of them")
	}
	if r.MemorySwap > 0 && r.Memory > r.MemorySwap {
		n := s.node.Get("memswap_limit")
		d.err(CodeConflict, n, fmt.Sprintf("%s is memory and swap together: it may not be less than the memory limit of %d", n.Path, r.Memory), "")
	}
}

func ftoa(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

func (d *decoder) replicas(s *draft) {
	scale, deployed := -1, -1
	if s.scale != nil {
		scale = d.count(s.scale)
	}
	if n := s.deploy.replicas; n != nil {
		deployed = d.count(n)
		if scale >= 0 && scale != deployed {
			d.err(CodeConflict, n, fmt.Sprintf("%s is %d, but %s (%s) is %d", n.Path, deployed, s.scale.Path, s.scale.Pos(), scale), "say it once")
		}
	}
	switch {
	case deployed >= 0:
		s.Replicas = deployed
	case scale >= 0:
		s.Replicas = scale
	}
	if s.Replicas > 1 && s.ContainerName != "" {
		n := s.node.Get("container_name")
		d.err(CodeConflict, n, fmt.Sprintf("service %q has the fixed container name %q and %d replicas", s.Name, s.ContainerName, s.Replicas), "remove container_name")
	}
}

// restartPolicy joins restart and deploy.restart_policy, which overrides it completely.
func (d *decoder) restartPolicy(s *draft) RestartPolicy {
	p := RestartPolicy{Name: "no"}
	if n := s.restart; n != nil {
		p = d.restart(n)
	}
	if r := s.deploy.restart; r != nil {
		p = r.policy
		p.Name = map[string]string{"none": "no", "on-failure": "on-failure", "any": "always"}[r.condition]
	}
	return p
}

func (d *decoder) restart(n *tree.Node) RestartPolicy {
	if n.Kind == tree.Scalar && n.Type == tree.Bool && n.Value == "false" {
		// YAML 1.1 tools write an unquoted no as false.
		d.bad(n, "false is not a restart policy", "write restart: \"no\"")
		return RestartPolicy{Name: "no"}
	}
	s := d.str(n)
	name, count, counted := strings.Cut(s, ":")
	p := RestartPolicy{Name: name}
	switch name {
	case "no", "always", "unless-stopped", "on-failure":
	case "":
		return RestartPolicy{Name: "no"}
	default:
		if n.Kind == tree.Scalar && n.Type == tree.String {
			d.oneOf(n, "no", "always", "on-failure[:N]", "unless-stopped")
		}
		return RestartPolicy{Name: "no"}
	}
	if counted {
		v, err := strconv.Atoi(count)
		if err != nil || v < 0 || name != "on-failure" {
			d.bad(n, fmt.Sprintf("%q is not a restart policy", s), "only on-failure takes a number of attempts: on-failure:3")
		}
		p.MaxAttempts = v
	}
	return p
}
