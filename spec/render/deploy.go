package render

import (
	"time"

	"github.com/stackrun/stack/spec"
)

// deploy writes the keys in compose-go's order (types.DeployConfig, v2.14).
func deploy(d *spec.Deploy) value {
	if d == nil {
		return nil
	}
	var o object
	o.add("mode", str(d.Mode))
	if d.Replicas != nil {
		o.add("replicas", integer(*d.Replicas))
	}
	o.add("labels", textMap(d.Labels))
	o.add("update_config", rollout(d.Update))
	o.add("rollback_config", rollout(d.Rollback))
	var resources object
	resources.add("limits", deployed(d.Limits))
	resources.add("reservations", deployed(d.Reservations))
	o.add("resources", filled(resources))
	if r := d.Restart; r != nil {
		v := object{}
		v.add("condition", str(r.Condition))
		v.add("delay", pointed(r.Delay))
		if r.MaxAttempts != nil {
			v.add("max_attempts", integer(*r.MaxAttempts))
		}
		v.add("window", pointed(r.Window))
		o.add("restart_policy", v)
	}
	var placement object
	placement.add("constraints", texts(d.Placement.Constraints))
	if len(d.Placement.Preferences) > 0 {
		var l list
		for _, s := range d.Placement.Preferences {
			l = append(l, object{{"spread", text(s)}})
		}
		placement.add("preferences", l)
	}
	placement.add("max_replicas_per_node", number(d.Placement.MaxReplicas))
	o.add("placement", filled(placement))
	o.add("endpoint_mode", str(d.EndpointMode))
	return o
}

// filled is o, or what stands for an empty struct.
func filled(o object) value {
	if len(o) == 0 {
		return jsonOnly{}
	}
	return o
}

func pointed(d *time.Duration) value {
	if d == nil {
		return nil
	}
	return text(d.String())
}

func rollout(r *spec.Rollout) value {
	if r == nil {
		return nil
	}
	o := object{}
	if r.Parallelism != nil {
		o.add("parallelism", integer(*r.Parallelism))
	}
	o.add("delay", duration(r.Delay))
	o.add("failure_action", str(r.FailureAction))
	o.add("monitor", duration(r.Monitor))
	o.add("max_failure_ratio", real(r.MaxFailureRatio))
	o.add("order", str(r.Order))
	return o
}

func deployed(r *spec.DeployResources) value {
	if r == nil {
		return nil
	}
	o := object{}
	o.add("cpus", real(r.CPUs))
	o.add("memory", size(r.Memory))
	o.add("pids", number(r.Pids))
	o.add("devices", requests(r.Devices))
	if len(r.Generic) > 0 {
		var l list
		for _, g := range r.Generic {
			l = append(l, object{{"discrete_resource_spec", object{{"kind", text(g.Kind)}, {"value", integer(g.Value)}}}})
		}
		o.add("generic_resources", l)
	}
	return o
}

func requests(reqs []spec.DeviceRequest) value {
	if len(reqs) == 0 {
		return nil
	}
	var out list
	for _, r := range reqs {
		o := object{}
		o.add("capabilities", texts(r.Capabilities))
		o.add("driver", str(r.Driver))
		o.add("count", number(r.Count))
		o.add("device_ids", texts(r.IDs))
		o.add("options", textMap(r.Options))
		out = append(out, o)
	}
	return out
}
