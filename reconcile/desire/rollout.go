package desire

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// monitorDefault is docker swarm's --update-monitor.
const monitorDefault = 5 * time.Second

// rolloutsOf takes over update_config and rollback_config, with docker swarm's defaults, and refuses what cannot be done with two
// containers at once.
func rolloutsOf(s *spec.Service, w *plan.Service, at string) diag.List {
	if s.Deploy == nil {
		return nil
	}
	w.Update, w.Rollback = rolloutOf(s.Deploy.Update), rolloutOf(s.Deploy.Rollback)
	var diags diag.List
	for _, c := range []struct {
		key  string
		from *spec.Rollout
		r    *plan.Rollout
	}{{"update_config", s.Deploy.Update, w.Update}, {"rollback_config", s.Deploy.Rollback, w.Rollback}} {
		if c.r == nil {
			continue
		}
		if order := c.from.Order; order != "" && order != "start-first" && order != "stop-first" {
			diags = append(diags, &diag.Diagnostic{
				Code: "bad-order", Summary: "an order is not one of those that there are", Detail: fmt.Sprintf("service %s: %s.order is %q", s.Name, c.key, order),
				Hint: "start-first or stop-first", Address: at + ".deploy." + c.key + ".order",
			})
		}
		switch {
		case c.r.OnFailure == plan.Pause || c.r.OnFailure == plan.Continue:
		case c.r.OnFailure == plan.Rollback && c.r == w.Update:
		default:
			diags = append(diags, &diag.Diagnostic{
				Code: "bad-failure-action", Summary: "a failure_action is not one of those that there are", Detail: fmt.Sprintf("service %s: %s.failure_action is %q", s.Name, c.key, c.r.OnFailure),
				Hint: "pause, continue, or in update_config rollback", Address: at + ".deploy." + c.key + ".failure_action",
			})
		}
		if why := notTwice(s); c.r.StartFirst && why != "" {
			diags = append(diags, &diag.Diagnostic{
				Code: "start-first-impossible", Summary: "containers cannot be started beside those that they replace", Detail: fmt.Sprintf("service %s %s", s.Name, why),
				Hint: "set order: stop-first", Address: at + ".deploy." + c.key + ".order",
			})
		}
	}
	return diags
}

func rolloutOf(r *spec.Rollout) *plan.Rollout {
	if r == nil {
		return nil
	}
	out := &plan.Rollout{Parallelism: 1, Delay: r.Delay, Monitor: r.Monitor, OnFailure: plan.FailureAction(r.FailureAction), MaxFailures: r.MaxFailureRatio, StartFirst: r.Order == "start-first"}
	if r.Parallelism != nil {
		out.Parallelism = int(min(*r.Parallelism, 1<<20)) // more than anybody has
	}
	if out.Monitor == 0 {
		out.Monitor = monitorDefault
	}
	if out.OnFailure == "" {
		out.OnFailure = plan.Pause
	}
	return out
}

// notTwice says what of s there can be one of at a time, "" = nothing. Published ports are handed over, and so may be fixed.
func notTwice(s *spec.Service) string {
	if s.NetworkMode == "host" || strings.HasPrefix(s.NetworkMode, "service:") || strings.HasPrefix(s.NetworkMode, "container:") {
		return fmt.Sprintf("has network_mode: %s, and what the old container listens on there is taken for the new one", s.NetworkMode)
	}
	if s.MacAddress != "" {
		return "has the mac_address " + s.MacAddress + ", which two containers cannot have"
	}
	for _, net := range slices.Sorted(maps.Keys(s.Networks)) {
		ep := s.Networks[net]
		if ep == nil {
			continue
		}
		for _, fixed := range []struct{ key, value string }{{"ipv4_address", ep.IPv4}, {"ipv6_address", ep.IPv6}, {"mac_address", ep.MacAddress}} {
			if fixed.value != "" {
				return fmt.Sprintf("has the %s %s on network %s, which two containers cannot have", fixed.key, fixed.value, net)
			}
		}
	}
	return ""
}
