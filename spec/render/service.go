package render

import (
	"strconv"

	"github.com/stackrun/stack/spec"
)

// service writes the keys in compose-go's order (types.ServiceConfig, v2.14).
func service(p *spec.Project, s *spec.Service) value {
	at := "services." + s.Name + "."
	deployed := func(key string) bool { return said(p, at+"deploy."+key) }
	r := s.Resources
	var o object
	o.add("profiles", texts(s.Profiles))
	o.add("annotations", textMap(s.Annotations))
	if s.Attach != nil && !*s.Attach {
		o.add("attach", boolean(false))
	}
	o.add("cap_add", texts(s.CapAdd))
	o.add("cap_drop", texts(s.CapDrop))
	o.add("cgroup_parent", str(s.CgroupParent))
	o.add("cgroup", str(s.Cgroup))
	o.add("cpu_period", number(r.CPUPeriod))
	o.add("cpu_quota", number(r.CPUQuota))
	if !deployed("resources.limits.cpus") {
		o.add("cpus", real(r.CPUs))
	}
	o.add("cpuset", str(r.CPUSet))
	o.add("cpu_shares", number(r.CPUShares))
	o.add("command", command(s.Command))
	o.add("configs", fileUses(s.Configs))
	o.add("container_name", str(s.ContainerName))
	o.add("depends_on", dependsOn(s.DependsOn))
	o.add("deploy", deploy(s, deployed))
	o.add("devices", devices(s.Devices))
	o.add("dns", texts(s.DNS))
	o.add("dns_opt", texts(s.DNSOpt))
	o.add("dns_search", texts(s.DNSSearch))
	o.add("domainname", str(s.Domainname))
	o.add("entrypoint", command(s.Entrypoint))
	o.add("environment", textMap(s.Environment))
	o.add("expose", texts(s.Expose))
	o.add("extra_hosts", hosts(s.ExtraHosts))
	o.add("group_add", texts(s.GroupAdd))
	o.add("hostname", str(s.Hostname))
	o.add("healthcheck", health(s.HealthCheck))
	o.add("image", str(s.Image))
	o.add("init", yes(s.Init))
	o.add("ipc", str(s.IPC))
	o.add("labels", textMap(s.Labels))
	o.add("logging", logging(s.Logging))
	if !deployed("resources.limits.memory") {
		o.add("mem_limit", size(r.Memory))
	}
	if !deployed("resources.reservations.memory") {
		o.add("mem_reservation", size(r.MemoryReservation))
	}
	o.add("memswap_limit", size(r.MemorySwap))
	if r.MemorySwappiness != nil {
		o.add("mem_swappiness", text(strconv.FormatUint(*r.MemorySwappiness, 10)))
	}
	o.add("mac_address", str(s.MacAddress))
	o.add("network_mode", str(s.NetworkMode))
	if len(s.Networks) > 0 {
		o.add("networks", sorted(s.Networks, endpoint))
	}
	o.add("oom_kill_disable", yes(r.OOMKillDisable))
	o.add("oom_score_adj", number(s.OOMScoreAdj))
	o.add("pid", str(s.PID))
	if !deployed("resources.limits.pids") {
		o.add("pids_limit", number(r.Pids))
	}
	o.add("platform", str(s.Platform))
	o.add("ports", ports(s.Ports))
	o.add("privileged", yes(s.Privileged))
	o.add("pull_policy", str(s.PullPolicy))
	o.add("read_only", yes(s.ReadOnly))
	if !deployed("restart_policy") && said(p, at+"restart") {
		o.add("restart", restart(s.Restart))
	}
	if said(p, at+"scale") {
		o.add("scale", integer(s.Replicas))
	}
	o.add("secrets", fileUses(s.Secrets))
	o.add("security_opt", texts(s.SecurityOpt))
	o.add("shm_size", size(s.ShmSize))
	o.add("stdin_open", yes(s.StdinOpen))
	if s.StopGrace != nil {
		o.add("stop_grace_period", text(s.StopGrace.String()))
	}
	o.add("stop_signal", str(s.StopSignal))
	o.add("sysctls", textMap(s.Sysctls))
	o.add("tmpfs", tmpfs(s.Tmpfs))
	o.add("tty", yes(s.TTY))
	if len(s.Ulimits) > 0 {
		o.add("ulimits", sorted(s.Ulimits, ulimit))
	}
	o.add("user", str(s.User))
	o.add("uts", str(s.UTS))
	o.add("volumes", mounts(s.Mounts))
	o.add("working_dir", str(s.WorkingDir))
	return o
}

// command is null for "the image's" and an empty list for "none".
func command(l []string) value {
	if l == nil {
		return null{}
	}
	return words(l)
}

func dependsOn(deps map[string]spec.Dependency) value {
	if len(deps) == 0 {
		return nil
	}
	return sorted(deps, func(d spec.Dependency) value {
		var o object
		o.add("condition", text(d.Condition))
		o.add("restart", yes(d.Restart))
		o.add("required", boolean(d.Required))
		return o
	})
}

func deploy(s *spec.Service, said func(string) bool) value {
	var o object
	if said("replicas") {
		o.add("replicas", integer(s.Replicas))
	}
	var limits, reservations, resources object
	if said("resources.limits.cpus") {
		limits.add("cpus", float(s.Resources.CPUs))
	}
	if said("resources.limits.memory") {
		limits.add("memory", size(s.Resources.Memory))
	}
	if said("resources.limits.pids") {
		limits.add("pids", integer(s.Resources.Pids))
	}
	if said("resources.reservations.memory") {
		reservations.add("memory", size(s.Resources.MemoryReservation))
	}
	if limits != nil {
		resources.add("limits", limits)
	}
	if reservations != nil {
		resources.add("reservations", reservations)
	}
	switch {
	case resources != nil:
		o.add("resources", resources)
	case o != nil || said("restart_policy"):
		o.add("resources", jsonOnly{})
	}
	if said("restart_policy") {
		var r object
		r.add("condition", text(map[string]string{"no": "none", "on-failure": "on-failure", "always": "any"}[s.Restart.Name]))
		r.add("delay", duration(s.Restart.Delay))
		r.add("max_attempts", number(s.Restart.MaxAttempts))
		r.add("window", duration(s.Restart.Window))
		o.add("restart_policy", r)
	}
	if o == nil {
		return nil
	}
	o.add("placement", jsonOnly{})
	return o
}

func restart(r spec.RestartPolicy) value {
	if r.Name == "on-failure" && r.MaxAttempts > 0 {
		return text(r.Name + ":" + strconv.Itoa(r.MaxAttempts))
	}
	return str(r.Name)
}

func devices(l []spec.Device) value {
	if len(l) == 0 {
		return nil
	}
	var out list
	for _, d := range l {
		out = append(out, object{{"source", text(d.Source)}, {"target", text(d.Target)}, {"permissions", text(d.Permissions)}})
	}
	return out
}

func hosts(l []spec.HostEntry) value {
	if len(l) == 0 {
		return nil
	}
	var out list
	for _, h := range l {
		out = append(out, text(h.Host+"="+h.Address))
	}
	return out
}

func health(h *spec.HealthCheck) value {
	if h == nil {
		return nil
	}
	o := object{}
	o.add("test", texts(h.Test))
	o.add("timeout", duration(h.Timeout))
	o.add("interval", duration(h.Interval))
	o.add("retries", number(h.Retries))
	o.add("start_period", duration(h.StartPeriod))
	o.add("start_interval", duration(h.StartInterval))
	o.add("disable", yes(h.Disable))
	return o
}

func logging(l spec.Logging) value {
	var o object
	o.add("driver", str(l.Driver))
	o.add("options", textMap(l.Options))
	if o == nil {
		return nil
	}
	return o
}

func endpoint(e *spec.Endpoint) value {
	var o object
	o.add("aliases", texts(e.Aliases))
	o.add("interface_name", str(e.InterfaceName))
	o.add("ipv4_address", str(e.IPv4))
	o.add("ipv6_address", str(e.IPv6))
	o.add("link_local_ips", texts(e.LinkLocal))
	o.add("mac_address", str(e.MacAddress))
	o.add("driver_opts", textMap(e.DriverOpts))
	o.add("priority", number(e.Priority))
	o.add("gw_priority", number(e.GwPriority))
	if o == nil {
		return null{}
	}
	return o
}

func ulimit(u spec.Ulimit) value {
	if u.Soft == u.Hard {
		return integer(u.Soft)
	}
	return object{{"soft", integer(u.Soft)}, {"hard", integer(u.Hard)}}
}
