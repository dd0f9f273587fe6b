package render

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/stackrun/stack/spec"
)

// service writes the keys in compose-go's order (types.ServiceConfig, v2.14).
func service(p *spec.Project, s *spec.Service) value {
	at := "services." + s.Name + "."
	flat := func(key string, v value) value { // what deploy.resources says is shown there
		if !said(p, at+key) {
			return nil
		}
		return v
	}
	r := s.Resources
	var o object
	o.add("profiles", texts(s.Profiles))
	o.add("annotations", textMap(s.Annotations))
	if s.Attach != nil {
		o.add("attach", boolean(*s.Attach))
	}
	o.add("build", build(p, at+"build.", s.Build))
	o.add("develop", develop(s.Develop))
	o.add("blkio_config", blkio(s.BlkIO))
	o.add("cap_add", texts(s.CapAdd))
	o.add("cap_drop", texts(s.CapDrop))
	o.add("cgroup_parent", str(s.CgroupParent))
	o.add("cgroup", str(s.Cgroup))
	o.add("cpu_count", number(r.CPUCount))
	o.add("cpu_percent", real(r.CPUPercent))
	o.add("cpu_period", number(r.CPUPeriod))
	o.add("cpu_quota", number(r.CPUQuota))
	o.add("cpu_rt_period", number(r.CPURTPeriod))
	o.add("cpu_rt_runtime", number(r.CPURTRuntime))
	o.add("cpus", flat("cpus", real(r.CPUs)))
	o.add("cpuset", str(r.CPUSet))
	o.add("cpu_shares", number(r.CPUShares))
	o.add("command", command(s.Command))
	o.add("configs", fileUses(s.Configs))
	o.add("container_name", str(s.ContainerName))
	if c := s.CredentialSpec; c != nil {
		v := object{}
		v.add("config", str(c.Config))
		v.add("file", str(c.File))
		v.add("registry", str(c.Registry))
		o.add("credential_spec", v)
	}
	o.add("depends_on", dependsOn(s.DependsOn))
	o.add("deploy", deploy(s.Deploy))
	o.add("device_cgroup_rules", texts(s.DeviceCgroupRules))
	o.add("devices", devices(s.Devices))
	o.add("dns", texts(s.DNS))
	o.add("dns_opt", texts(s.DNSOpt))
	o.add("dns_search", texts(s.DNSSearch))
	o.add("domainname", str(s.Domainname))
	o.add("entrypoint", command(s.Entrypoint))
	o.add("provider", provider(s.Provider))
	o.add("environment", environment(s))
	o.add("env_file", envFiles(s.EnvFiles))
	o.add("expose", texts(s.Expose))
	o.add("external_links", texts(s.ExternalLinks))
	o.add("extra_hosts", hosts(s.ExtraHosts))
	o.add("group_add", texts(s.GroupAdd))
	o.add("gpus", requests(s.GPUs))
	o.add("hostname", str(s.Hostname))
	o.add("healthcheck", health(p, at+"healthcheck.", s.HealthCheck))
	o.add("image", str(s.Image))
	if s.Init || said(p, at+"init") {
		o.add("init", boolean(s.Init))
	}
	o.add("ipc", str(s.IPC))
	o.add("isolation", str(s.Windows))
	o.add("labels", textMap(s.Labels))
	o.add("label_file", texts(s.LabelFiles))
	o.add("links", texts(s.Links))
	o.add("logging", logging(s.Logging))
	o.add("mem_limit", flat("mem_limit", size(r.Memory)))
	o.add("mem_reservation", flat("mem_reservation", size(r.MemoryReservation)))
	o.add("memswap_limit", size(r.MemorySwap))
	if r.MemorySwappiness != nil && *r.MemorySwappiness != 0 {
		o.add("mem_swappiness", text(strconv.FormatUint(*r.MemorySwappiness, 10)))
	}
	o.add("mac_address", str(s.MacAddress))
	o.add("models", modelUses(s.Models))
	o.add("network_mode", str(s.NetworkMode))
	if len(s.Networks) > 0 {
		o.add("networks", sorted(s.Networks, endpoint))
	}
	o.add("oom_kill_disable", yes(r.OOMKillDisable))
	o.add("oom_score_adj", number(s.OOMScoreAdj))
	o.add("pid", str(s.PID))
	o.add("pids_limit", flat("pids_limit", number(r.Pids)))
	o.add("platform", str(s.Platform))
	o.add("ports", ports(p, at+"ports", s.Ports))
	o.add("privileged", yes(s.Privileged))
	o.add("pull_policy", str(s.PullPolicy))
	o.add("read_only", yes(s.ReadOnly))
	o.add("restart", flat("restart", str(s.RestartText)))
	o.add("runtime", str(s.Runtime))
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
	o.add("storage_opt", textMap(s.StorageOpt))
	o.add("sysctls", textMap(s.Sysctls))
	o.add("tmpfs", tmpfs(s.Tmpfs))
	o.add("tty", yes(s.TTY))
	o.add("ulimits", ulimits(p, at+"ulimits.", s.Ulimits))
	o.add("use_api_socket", yes(s.UseAPISocket))
	o.add("user", str(s.User))
	o.add("userns_mode", str(s.UserNS))
	o.add("uts", str(s.UTS))
	o.add("volumes", mounts(p, at+"volumes", s.Mounts))
	o.add("volumes_from", texts(s.VolumesFrom))
	o.add("working_dir", str(s.WorkingDir))
	o.add("pre_start", hooks(s.PreStart))
	o.add("post_start", hooks(s.PostStart))
	o.add("pre_stop", hooks(s.PreStop))
	for _, k := range slices.Sorted(maps.Keys(s.Extensions)) {
		o.add(k, yamlOnly{verbatim(s.Extensions[k])})
	}
	return o
}

// command is null (in JSON) for "the image's" and an empty list for "none".
func command(l []string) value {
	if l == nil {
		return jsonOnlyNull{}
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

func devices(l []spec.Device) value {
	if len(l) == 0 {
		return nil
	}
	var out list
	for _, d := range l {
		o := object{{"source", text(d.Source)}, {"target", text(d.Target)}}
		o.add("permissions", str(d.Permissions))
		out = append(out, o)
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

func health(p *spec.Project, at string, h *spec.HealthCheck) value {
	if h == nil {
		return nil
	}
	// Zero is shown where it is said.
	span := func(key string, d time.Duration) value {
		if d == 0 && !said(p, at+key) {
			return nil
		}
		return text(d.String())
	}
	o := object{}
	o.add("test", texts(h.Test))
	o.add("timeout", span("timeout", h.Timeout))
	o.add("interval", span("interval", h.Interval))
	if h.Retries != 0 || said(p, at+"retries") {
		o.add("retries", integer(h.Retries))
	}
	o.add("start_period", span("start_period", h.StartPeriod))
	o.add("start_interval", span("start_interval", h.StartInterval))
	o.add("disable", yes(h.Disable && said(p, at+"disable")))
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
	o.add("driver_opts", textMap(e.DriverOpts))
	o.add("gw_priority", number(e.GwPriority))
	o.add("interface_name", str(e.InterfaceName))
	o.add("ipv4_address", str(e.IPv4))
	o.add("ipv6_address", str(e.IPv6))
	o.add("link_local_ips", texts(e.LinkLocal))
	o.add("mac_address", str(e.MacAddress))
	o.add("priority", number(e.Priority))
	if o == nil && e.Written {
		return object{}
	}
	if o == nil {
		return null{}
	}
	return o
}

func ulimits(p *spec.Project, at string, m map[string]spec.Ulimit) value {
	if len(m) == 0 {
		return nil
	}
	var o object
	for _, k := range slices.Sorted(maps.Keys(m)) {
		switch u := m[k]; {
		case said(p, at+k+".soft"):
			v := object{}
			v.add("soft", number(u.Soft))
			v.add("hard", number(u.Hard))
			o.add(k, v)
		default:
			o.add(k, integer(u.Soft))
		}
	}
	return o
}

// environment is the variables, with null for those that have no value.
func envFiles(files []spec.EnvFile) value {
	if len(files) == 0 {
		return nil
	}
	var out list
	for _, f := range files {
		o := object{{"path", text(f.Path)}}
		if !f.Required {
			o.add("required", boolean(false))
		}
		o.add("format", str(f.Format))
		out = append(out, o)
	}
	return out
}

func environment(s *spec.Service) value {
	if len(s.Unset) == 0 {
		return textMap(s.Environment)
	}
	m := make(map[string]*string, len(s.Environment)+len(s.Unset))
	for k, v := range s.Environment {
		m[k] = &v
	}
	for _, k := range s.Unset {
		m[k] = nil
	}
	return optionalMap(m)
}
