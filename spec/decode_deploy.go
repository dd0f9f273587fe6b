package spec

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/stackrun/stack/spec/tree"
)

// deploy is the deploy section under decoding: the values, and the nodes of those
// that other keys of the service say too.
type deploy struct {
	Deploy
	replicas     *tree.Node
	limits       resourceSection
	reservations resourceSection
}

type resourceSection struct {
	DeployResources
	cpus, memory, pids *tree.Node
}

var deployFields = fields[deploy]{
	"mode": func(d *decoder, n *tree.Node, v *deploy) { v.Mode = d.str(n) },
	"replicas": func(d *decoder, n *tree.Node, v *deploy) {
		c := d.count(n)
		v.replicas, v.Replicas = n, &c
	},
	"labels":          func(d *decoder, n *tree.Node, v *deploy) { v.Labels = d.stringMap(n) },
	"endpoint_mode":   func(d *decoder, n *tree.Node, v *deploy) { v.EndpointMode = d.str(n) },
	"update_config":   func(d *decoder, n *tree.Node, v *deploy) { v.Update = d.rollout(n) },
	"rollback_config": func(d *decoder, n *tree.Node, v *deploy) { v.Rollback = d.rollout(n) },
	"restart_policy": func(d *decoder, n *tree.Node, v *deploy) {
		v.Restart = &DeployRestart{}
		object(d, n, restartFields, v.Restart)
	},
	"resources": func(d *decoder, n *tree.Node, v *deploy) { object(d, n, resourcesFields, v) },
	"placement": func(d *decoder, n *tree.Node, v *deploy) { object(d, n, placementFields, &v.Placement) },
}

var rolloutFields = fields[Rollout]{
	"parallelism": func(d *decoder, n *tree.Node, r *Rollout) {
		v := d.integer(n, 0, math.MaxInt64)
		r.Parallelism = &v
	},
	"delay": func(d *decoder, n *tree.Node, r *Rollout) { r.Delay = d.duration(n) },
	"failure_action": func(d *decoder, n *tree.Node, r *Rollout) {
		r.FailureAction = d.anyOf(n, "continue", "pause", "rollback")
	},
	"monitor":           func(d *decoder, n *tree.Node, r *Rollout) { r.Monitor = d.duration(n) },
	"max_failure_ratio": func(d *decoder, n *tree.Node, r *Rollout) { r.MaxFailureRatio = d.number(n) },
	"order":             func(d *decoder, n *tree.Node, r *Rollout) { r.Order = d.oneOf(n, "start-first", "stop-first") },
}

func (d *decoder) rollout(n *tree.Node) *Rollout {
	r := &Rollout{}
	object(d, n, rolloutFields, r)
	return r
}

var restartFields = fields[DeployRestart]{
	"condition": func(d *decoder, n *tree.Node, r *DeployRestart) { r.Condition = d.restartCondition(n) },
	"delay":     func(d *decoder, n *tree.Node, r *DeployRestart) { r.Delay = d.durationOf(n) },
	"max_attempts": func(d *decoder, n *tree.Node, r *DeployRestart) {
		v := d.integer(n, 0, math.MaxInt32)
		r.MaxAttempts = &v
	},
	"window": func(d *decoder, n *tree.Node, r *DeployRestart) { r.Window = d.durationOf(n) },
}

func (d *decoder) durationOf(n *tree.Node) *time.Duration {
	v := d.duration(n)
	return &v
}

// restartCondition takes swarm's words, and the names of restart, which docker compose lets through.
func (d *decoder) restartCondition(n *tree.Node) string {
	s := d.str(n)
	switch s {
	case "", "none", "on-failure", "any", "no", "always", "unless-stopped":
	default:
		d.unfit(n, fmt.Sprintf("%q is not known", s), choices(s, []string{"none", "on-failure", "any"}))
	}
	return s
}

var placementFields = fields[Placement]{
	"constraints": func(d *decoder, n *tree.Node, p *Placement) { p.Constraints = d.strs(n) },
	"preferences": func(d *decoder, n *tree.Node, p *Placement) {
		for _, it := range d.items(n) {
			object(d, it, preferenceFields, p)
		}
	},
	"max_replicas_per_node": func(d *decoder, n *tree.Node, p *Placement) { p.MaxReplicas = d.integer(n, 0, math.MaxInt32) },
}

var preferenceFields = fields[Placement]{
	"spread": func(d *decoder, n *tree.Node, p *Placement) { p.Preferences = append(p.Preferences, d.str(n)) },
}

var resourcesFields = fields[deploy]{
	"limits": func(d *decoder, n *tree.Node, v *deploy) {
		object(d, n, limitFields, &v.limits)
		v.Limits = d.deployed(&v.limits)
	},
	"reservations": func(d *decoder, n *tree.Node, v *deploy) {
		object(d, n, reservationFields, &v.reservations)
		v.Reservations = d.deployed(&v.reservations)
	},
}

// deployed decodes the amounts of a section, whose nodes the joining needs too.
func (d *decoder) deployed(r *resourceSection) *DeployResources {
	if r.cpus != nil {
		r.CPUs = d.number(r.cpus)
	}
	if r.memory != nil {
		r.Memory = d.bytes(r.memory)
	}
	if r.pids != nil {
		r.Pids = d.integer(r.pids, -1, math.MaxInt64)
	}
	return &r.DeployResources
}

var limitFields = fields[resourceSection]{
	"cpus":   func(d *decoder, n *tree.Node, r *resourceSection) { r.cpus = n },
	"memory": func(d *decoder, n *tree.Node, r *resourceSection) { r.memory = n },
	"pids":   func(d *decoder, n *tree.Node, r *resourceSection) { r.pids = n },
}

var reservationFields = fields[resourceSection]{
	"cpus":    func(d *decoder, n *tree.Node, r *resourceSection) { r.cpus = n },
	"memory":  func(d *decoder, n *tree.Node, r *resourceSection) { r.memory = n },
	"devices": func(d *decoder, n *tree.Node, r *resourceSection) { r.Devices = d.deviceRequests(n, false) },
	"generic_resources": func(d *decoder, n *tree.Node, r *resourceSection) {
		for _, it := range d.items(n) {
			object(d, it, genericFields, r)
		}
	},
}

var genericFields = fields[resourceSection]{
	"discrete_resource_spec": func(d *decoder, n *tree.Node, r *resourceSection) {
		var g GenericResource
		object(d, n, discreteFields, &g)
		r.Generic = append(r.Generic, g)
	},
}

var discreteFields = fields[GenericResource]{
	"kind":  func(d *decoder, n *tree.Node, g *GenericResource) { g.Kind = d.str(n) },
	"value": func(d *decoder, n *tree.Node, g *GenericResource) { g.Value = d.integer(n, 0, math.MaxInt64) },
}

var requestFields = fields[DeviceRequest]{
	"capabilities": func(d *decoder, n *tree.Node, r *DeviceRequest) { r.Capabilities = d.strs(n) },
	"count": func(d *decoder, n *tree.Node, r *DeviceRequest) {
		if n.Kind == tree.Scalar && strings.EqualFold(n.Value, "all") {
			r.Count = -1
			return
		}
		r.Count = d.integer(n, -1, math.MaxInt32)
	},
	"device_ids": func(d *decoder, n *tree.Node, r *DeviceRequest) { r.IDs = d.strs(n) },
	"driver":     func(d *decoder, n *tree.Node, r *DeviceRequest) { r.Driver = d.str(n) },
	"options":    func(d *decoder, n *tree.Node, r *DeviceRequest) { r.Options = d.stringMap(n) },
}

// deviceRequests decodes requests; those of gpus need not say that they are for GPUs.
func (d *decoder) deviceRequests(n *tree.Node, gpus bool) []DeviceRequest {
	if gpus && n.Kind == tree.Scalar {
		if n.Value != "all" {
			d.bad(n, fmt.Sprintf("%q is not known", n.Value), "write all, or a list of requests")
		}
		return []DeviceRequest{{Count: -1}}
	}
	var out []DeviceRequest
	for _, it := range d.items(n) {
		var r DeviceRequest
		if !object(d, it, requestFields, &r) {
			continue
		}
		switch {
		case !it.Get("count").IsNull() && len(r.IDs) > 0:
			d.err(CodeConflict, it, it.Path+" has count and device_ids", "keep one of them")
		case it.Get("count").IsNull() && len(r.IDs) == 0:
			r.Count = -1
		}
		if !gpus {
			d.needs(it, "capabilities")
		}
		out = append(out, r)
	}
	return out
}

// resources joins deploy.resources with the flat keys; where both speak they must agree.
func (d *decoder) resources(s *draft) {
	r := &s.Service.Resources
	conflict := func(n *tree.Node, flat, a, b string) {
		at := s.flat[flat]
		d.inconsistent(CodeConflict, n, fmt.Sprintf("%s is %s, but %s (%s) is %s", n.Path, b, at.Path, at.Pos(), a), "say it once")
	}
	limits, reservations := &s.deploy.limits, &s.deploy.reservations
	if n := limits.cpus; n != nil {
		if s.flat["cpus"] != nil && r.CPUs != limits.CPUs {
			conflict(n, "cpus", ftoa(r.CPUs), ftoa(limits.CPUs))
		}
		r.CPUs = limits.CPUs
	}
	if n := limits.memory; n != nil {
		if s.flat["memory"] != nil && r.Memory != limits.Memory {
			conflict(n, "memory", strconv.FormatInt(r.Memory, 10), strconv.FormatInt(limits.Memory, 10))
		}
		r.Memory = limits.Memory
	}
	if n := limits.pids; n != nil {
		if s.flat["pids"] != nil && r.Pids != limits.Pids {
			conflict(n, "pids", strconv.FormatInt(r.Pids, 10), strconv.FormatInt(limits.Pids, 10))
		}
		r.Pids = limits.Pids
	}
	if n := reservations.memory; n != nil {
		if s.flat["reservation"] != nil && r.MemoryReservation != reservations.Memory {
			conflict(n, "reservation", strconv.FormatInt(r.MemoryReservation, 10), strconv.FormatInt(reservations.Memory, 10))
		}
		r.MemoryReservation = reservations.Memory
	}
	if r.CPUs != 0 && r.CPUQuota != 0 {
		n := s.node.Get("cpu_quota")
		d.refuse(CodeConflict, n, n.Path+" and cpus both limit the CPU", "keep one of them")
	}
	if r.MemorySwap > 0 && r.Memory > r.MemorySwap {
		n := s.node.Get("memswap_limit")
		d.refuse(CodeConflict, n, fmt.Sprintf("%s is memory and swap together: it may not be less than the memory limit of %d", n.Path, r.Memory), "")
	}
}

func ftoa(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

func (d *decoder) replicas(s *draft) {
	scale, deployed := -1, -1
	if s.scale != nil {
		scale = d.count(s.scale)
	}
	if n := s.deploy.replicas; n != nil {
		deployed = *s.deploy.Replicas
		if scale >= 0 && scale != deployed {
			d.inconsistent(CodeConflict, n, fmt.Sprintf("%s is %d, but %s (%s) is %d", n.Path, deployed, s.scale.Path, s.scale.Pos(), scale), "say it once")
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
		d.inconsistent(CodeConflict, n, fmt.Sprintf("service %q has the fixed container name %q and %d replicas", s.Name, s.ContainerName, s.Replicas), "remove container_name")
	}
}

// restartPolicy joins restart and deploy.restart_policy, which overrides it completely.
func (d *decoder) restartPolicy(s *draft) RestartPolicy {
	p := RestartPolicy{Name: "no"}
	if n := s.restart; n != nil {
		p = d.restart(n)
	}
	r := s.deploy.Restart
	if r == nil {
		return p
	}
	p = RestartPolicy{Name: r.Condition}
	switch r.Condition {
	case "none":
		p.Name = "no"
	case "any", "": // any is the specification's default
		p.Name = "always"
	}
	if r.Delay != nil {
		p.Delay = *r.Delay
	}
	if r.Window != nil {
		p.Window = *r.Window
	}
	if r.MaxAttempts != nil {
		p.MaxAttempts = int(*r.MaxAttempts)
	}
	return p
}
