// Package desire says in a plan's words what a project asks for: names as on the host, nothing that points into the file. All of it follows from the
// project, but for the digests of the files that configs and secrets are read from (DigestFiles).
package desire

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// Of says what p asks for in the plan's words: names as on the host, nothing that points into p. It is pure.
func Of(p *spec.Project) (*plan.Desired, diag.List) {
	d := &plan.Desired{
		Project:  p.Name,
		Networks: map[string]plan.Network{},
		Volumes:  map[string]plan.Volume{},
		Services: map[string]*plan.Service{},
		Unused:   p.AllResources,
	}
	for key, n := range p.Networks {
		d.Networks[n.Name] = plan.Network{Name: n.Name, Key: key, External: n.External, Spec: networkSpec(n)}
	}
	for key, v := range p.Volumes {
		d.Volumes[v.Name] = Volume(key, v)
	}
	var diags diag.List
	for name, s := range p.Services {
		w, list := serviceOf(p, s)
		d.Services[name] = w
		diags = append(diags, list...)
	}
	diags = append(diags, checkBuilds(p, d)...)
	for name := range p.Inactive {
		d.Known = append(d.Known, name)
	}
	slices.Sort(d.Known)
	for _, g := range diags {
		if g.Subject == nil && g.Address != "" {
			g.Subject = p.Sources.At(spec.Path(g.Address))
		}
	}
	diags.Sort()
	return d, diags
}

// Volume is volume key of a file in the plan's words.
func Volume(key string, v *spec.Volume) plan.Volume {
	return plan.Volume{Name: v.Name, Key: key, External: v.External, Spec: plan.VolumeSpec{
		Driver: known(v.Driver, "local"), DriverOpts: maps.Clone(v.DriverOpts), Labels: maps.Clone(v.Labels),
	}}
}

// known drops a value that says no more than the default does, so that writing it out recreates nothing.
func known(v, normal string) string {
	if v == normal {
		return ""
	}
	return v
}

func networkSpec(n *spec.Network) plan.NetworkSpec {
	s := plan.NetworkSpec{
		Driver: known(n.Driver, "bridge"), DriverOpts: maps.Clone(n.DriverOpts), Internal: n.Internal,
		NoIPv4: n.EnableIPv4 != nil && !*n.EnableIPv4, IPv6: n.EnableIPv6, Labels: maps.Clone(n.Labels),
	}
	for _, pool := range n.IPAM {
		s.IPAM = append(s.IPAM, plan.Pool{Subnet: pool.Subnet, Range: pool.IPRange, Gateway: pool.Gateway, Aux: maps.Clone(pool.Aux)})
	}
	return s
}

func serviceOf(p *spec.Project, s *spec.Service) (*plan.Service, diag.List) {
	var diags diag.List
	at := "services." + s.Name
	w := &plan.Service{
		Name: s.Name, Replicas: s.Replicas, ContainerName: s.ContainerName, PullPolicy: s.PullPolicy,
		DependsOn: map[string]plan.Dependency{}, Labels: map[string]string{}, StayDown: staysDown(s),
	}
	if s.ContainerName != "" && s.Replicas > 1 {
		diags = append(diags, &diag.Diagnostic{
			Code: "name-of-several", Summary: "a service with a container_name can have one container only",
			Detail: fmt.Sprintf("service %s is to have %d, all called %s", s.Name, s.Replicas, s.ContainerName), Hint: "take container_name out", Address: at + ".container_name",
		})
	}
	for name, dep := range s.DependsOn {
		if p.Services[name] == nil {
			// The loader has refused it unless it is optional or its profile is off.
			if dep.Required {
				diags = append(diags, &diag.Diagnostic{
					Code: "dependency-missing", Summary: "a service depends on one that is not there", Detail: fmt.Sprintf("%s depends on %s", s.Name, name),
					Hint: "activate its profile, or make the dependency required: false", Address: at + ".depends_on." + name,
				})
			}
			continue
		}
		w.DependsOn[name] = plan.Dependency{Condition: plan.Condition(dep.Condition), Restart: dep.Restart, Required: dep.Required}
	}
	// Who lives in another's namespace goes when that one goes.
	for _, mode := range []string{namespaceOf(p, s.NetworkMode), namespaceOf(p, s.PID), namespaceOf(p, s.IPC)} {
		if host, ok := strings.CutPrefix(mode, "service:"); ok && p.Services[host] != nil {
			dep := w.DependsOn[host]
			if dep.Condition == "" {
				dep.Condition = plan.Started
			}
			dep.Restart, dep.Required = true, true
			w.DependsOn[host] = dep
		}
	}
	diags = append(diags, rolloutsOf(s, w, at)...)
	if s.Provider != nil {
		w.Provider, w.Replicas, w.Update, w.Rollback = s.Provider.Type, 0, nil, nil
	} else {
		w.Spec, w.Build = containerSpec(p, s), recipeOf(p, s)
	}
	w.Labels[label.DependsOn] = dependsOnLabel(w.DependsOn)
	w.Labels[label.WorkingDir] = p.Dir
	w.Labels[label.ConfigFiles] = strings.Join(p.Files, ",")
	return w, diags
}

// staysDown says whether the file has restart: "no" in so many words. Not to say anything means the same to the policy, and that is most
// services of most files: what other hands kill of those comes up again.
func staysDown(s *spec.Service) bool {
	if s.Deploy != nil && s.Deploy.Restart != nil {
		return s.Deploy.Restart.Condition == "none"
	}
	return s.RestartText == "no"
}

func dependsOnLabel(deps map[string]plan.Dependency) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(deps)) {
		parts = append(parts, fmt.Sprintf("%s:%s:%t", name, deps[name].Condition, deps[name].Restart))
	}
	return strings.Join(parts, ",")
}

// namespaceOf is the mode of a namespace with a container of the project, that the file calls by its name, as what it is: a service's, which
// comes first, and with which those go that live in its namespaces.
func namespaceOf(p *spec.Project, mode string) string {
	if key := p.Joined(mode); key != "" {
		return "service:" + key
	}
	return mode
}

func containerSpec(p *spec.Project, s *spec.Service) plan.Spec {
	c := plan.Spec{
		Image: p.ImageOf(s), Platform: s.Platform,
		Command: slices.Clone(s.Command), Entrypoint: slices.Clone(s.Entrypoint), Environment: maps.Clone(s.Environment), Unset: slices.Sorted(slices.Values(s.Unset)),
		WorkingDir: s.WorkingDir, User: s.User, GroupAdd: slices.Clone(s.GroupAdd), Hostname: s.Hostname, Domainname: s.Domainname,
		Init: s.Init, TTY: s.TTY, StdinOpen: s.StdinOpen, StopSignal: s.StopSignal,
		Labels: maps.Clone(s.Labels), Annotations: maps.Clone(s.Annotations), Sysctls: maps.Clone(s.Sysctls),
		ReadOnly: s.ReadOnly, ShmSize: s.ShmSize,
		NetworkMode: namespaceOf(p, s.NetworkMode), Expose: slices.Clone(s.Expose),
		DNS: slices.Clone(s.DNS), DNSSearch: slices.Clone(s.DNSSearch), DNSOpt: slices.Clone(s.DNSOpt), MacAddress: s.MacAddress,
		CapAdd: slices.Clone(s.CapAdd), CapDrop: slices.Clone(s.CapDrop), Privileged: s.Privileged, SecurityOpt: slices.Clone(s.SecurityOpt),
		IPC: namespaceOf(p, s.IPC), PID: namespaceOf(p, s.PID), UTS: s.UTS, Cgroup: s.Cgroup,
		CgroupParent: s.CgroupParent, OOMScoreAdj: s.OOMScoreAdj,
		Restart:   plan.RestartPolicy{Name: known(s.Restart.Name, "no"), MaxAttempts: s.Restart.MaxAttempts, Delay: s.Restart.Delay, Window: s.Restart.Window},
		Logging:   plan.Logging{Driver: s.Logging.Driver, Options: maps.Clone(s.Logging.Options)},
		Resources: resources(s.Resources), DeviceRules: slices.Clone(s.DeviceCgroupRules),
		VolumesFrom: slices.Clone(s.VolumesFrom), ExternalLinks: slices.Clone(s.ExternalLinks),
	}
	c.Resources.BlkIO = blkIO(s.BlkIO)
	for i, h := range hooksOf(s.PreStart) {
		c.PreStart = append(c.PreStart, plan.InitStep{Hook: h, Image: known(s.PreStart[i].Image, s.Image), PerReplica: s.PreStart[i].PerReplica})
	}
	c.PostStart, c.PreStop = hooksOf(s.PostStart), hooksOf(s.PreStop)
	if s.StopGrace != nil {
		grace := *s.StopGrace
		c.StopGrace = &grace
	}
	for name, u := range s.Ulimits {
		if c.Ulimits == nil {
			c.Ulimits = map[string]plan.Ulimit{}
		}
		c.Ulimits[name] = plan.Ulimit{Soft: u.Soft, Hard: u.Hard}
	}
	for _, m := range s.Mounts {
		c.Mounts = append(c.Mounts, mountOf(p, m))
	}
	for _, m := range s.Tmpfs {
		c.Tmpfs = append(c.Tmpfs, mountOf(p, m))
	}
	for _, f := range s.Configs {
		c.Configs = append(c.Configs, fileOf(f, p.Configs[f.Source]))
	}
	for _, f := range s.Secrets {
		c.Secrets = append(c.Secrets, fileOf(f, p.Secrets[f.Source]))
	}
	tellModels(p, s, &c)
	provide(p, s, &c)
	c.DeviceRequests = deviceRequests(s)
	for _, v := range s.Devices {
		if isCDI(v) {
			continue
		}
		c.Devices = append(c.Devices, plan.Device{Source: v.Source, Target: v.Target, Permissions: known(v.Permissions, "rwm")})
	}
	for key, e := range s.Networks {
		name := key
		if n := p.Networks[key]; n != nil {
			name = n.Name
		}
		if c.Networks == nil {
			c.Networks = map[string]plan.Endpoint{}
		}
		c.Networks[name] = endpoint(e)
	}
	c.Ports = Ports(s.Ports)
	for _, h := range s.ExtraHosts {
		c.ExtraHosts = append(c.ExtraHosts, plan.HostEntry{Host: h.Host, Address: h.Address})
	}
	if h := s.HealthCheck; h != nil {
		c.HealthCheck = &plan.HealthCheck{Test: slices.Clone(h.Test), Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, StartInterval: h.StartInterval, Retries: h.Retries, Disable: h.Disable}
	}
	return c
}

func hooksOf(hooks []spec.Hook) []plan.Hook {
	var out []plan.Hook
	for _, h := range hooks {
		to := plan.Hook{Command: slices.Clone(h.Command), User: h.User, Privileged: h.Privileged, WorkingDir: h.WorkingDir}
		for k, v := range h.Environment {
			if v == nil {
				continue // of a variable that the project does not have
			}
			if to.Environment == nil {
				to.Environment = map[string]string{}
			}
			to.Environment[k] = *v
		}
		out = append(out, to)
	}
	return out
}

func resources(r spec.Resources) plan.Resources {
	out := plan.Resources{
		CPUs: r.CPUs, CPUShares: r.CPUShares, CPUQuota: r.CPUQuota, CPUPeriod: r.CPUPeriod, CPUSet: r.CPUSet,
		Memory: r.Memory, MemoryReservation: r.MemoryReservation, MemorySwap: r.MemorySwap,
		OOMKillDisable: r.OOMKillDisable, Pids: r.Pids,
	}
	if r.MemorySwappiness != nil {
		v := *r.MemorySwappiness
		out.MemorySwappiness = &v
	}
	return out
}

func blkIO(b *spec.BlkIO) *plan.BlkIO {
	if b == nil {
		return nil
	}
	rates := func(in []spec.DeviceRate) []plan.DeviceRate {
		var out []plan.DeviceRate
		for _, r := range in {
			out = append(out, plan.DeviceRate{Path: r.Path, Rate: r.Rate})
		}
		return out
	}
	return &plan.BlkIO{Weight: uint16(b.Weight), WeightDevice: rates(b.WeightDevice), ReadBps: rates(b.ReadBps), WriteBps: rates(b.WriteBps),
		ReadIOps: rates(b.ReadIOps), WriteIOps: rates(b.WriteIOps)}
}

func mountOf(p *spec.Project, m spec.Mount) plan.Mount {
	out := plan.Mount{
		Type: m.Type, Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly, Propagation: known(m.Propagation, "rprivate"),
		Recursive: known(m.Recursive, "enabled"), CreateHostPath: m.CreateHostPath && m.IDMap == "", IDMap: m.IDMap, NoCopy: m.NoCopy, Subpath: m.Subpath,
		Size: m.TmpfsSize, Mode: m.TmpfsMode, Options: slices.Clone(m.Options), Labels: maps.Clone(m.Labels),
	}
	if v := p.Volumes[m.Source]; m.Type == "volume" && v != nil {
		out.Source = v.Name
	}
	return out
}

func fileOf(f spec.FileUse, o *spec.FileObject) plan.File {
	out := plan.File{Source: f.Source, Target: f.Target, UID: f.UID, GID: f.GID}
	if f.Mode != nil {
		mode := *f.Mode
		out.Mode = &mode
	}
	switch {
	case o == nil:
	case o.File != "":
		out.Path = o.File
	default:
		sum := sha256.Sum256(o.Content)
		out.Digest = hex.EncodeToString(sum[:])
	}
	return out
}

// Driver options of a service's place on a network. The first is docker's older word for interface_name.
const (
	OptionInterface = "com.docker.network.endpoint.ifname"
	OptionSysctls   = "com.docker.network.endpoint.sysctls"
)

func endpoint(e *spec.Endpoint) plan.Endpoint {
	if e == nil {
		return plan.Endpoint{}
	}
	return plan.Endpoint{
		Aliases: slices.Clone(e.Aliases), IPv4: e.IPv4, IPv6: e.IPv6, LinkLocal: slices.Clone(e.LinkLocal), Sysctls: e.DriverOpts[OptionSysctls], MacAddress: e.MacAddress, Interface: cmp.Or(e.InterfaceName, e.DriverOpts[OptionInterface]),
		Priority: e.Priority, GwPriority: e.GwPriority,
	}
}

// Ports are ports in a plan's words.
func Ports(ports []spec.Port) []plan.Port {
	var out []plan.Port
	for _, p := range ports {
		out = append(out, plan.Port{HostIP: p.HostIP, Published: p.Published, PublishedEnd: p.PublishedEnd, Target: p.Target, Protocol: known(p.Protocol, "tcp")})
	}
	return out
}
