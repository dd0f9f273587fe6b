package spec

import (
	"fmt"
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
		d.refuse(CodeMissing, si, n.Path+": start_interval needs start_period", "say how long the start may take: start_period: 30s")
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
		d.inconsistent(CodeValue, n, fmt.Sprintf("%s: the first word %q is not known", n.Path, test[0]), "start with CMD, CMD-SHELL or NONE")
	}
	return test
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
			d.unfit(n, fmt.Sprintf("%q is not known", s), choices(s, []string{"no", "always", "on-failure[:N]", "unless-stopped"}))
		}
		return RestartPolicy{Name: s}
	}
	if counted {
		v, err := strconv.Atoi(count)
		if err != nil || v < 0 || name != "on-failure" {
			d.unfit(n, fmt.Sprintf("%q is not a restart policy", s), "only on-failure takes a number of attempts: on-failure:3")
		}
		p.MaxAttempts = v
	}
	return p
}
