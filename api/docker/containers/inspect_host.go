package containers

import (
	"cmp"
	"maps"
	"net"
	"net/netip"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/blkiodev"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"

	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/single"
)

// hostConfig is the other half of what was asked for, in the API's words: setHost, setMounts and setNetworks backwards.
func hostConfig(d *single.Detail) *container.HostConfig {
	s := &d.Spec
	h := &container.HostConfig{
		LogConfig: container.LogConfig{Type: cmp.Or(s.Logging.Driver, "json-file"), Config: s.Logging.Options}, NetworkMode: container.NetworkMode(networkMode(d)), PortBindings: portBindings(s),
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyMode(cmp.Or(s.Restart.Name, "no")), MaximumRetryCount: s.Restart.MaxAttempts},
		Annotations:   s.Annotations, CapAdd: s.CapAdd, CapDrop: s.CapDrop, Privileged: s.Privileged, CgroupnsMode: container.CgroupnsMode(cmp.Or(s.Cgroup, "private")),
		IpcMode: container.IpcMode(cmp.Or(s.IPC, "private")), PidMode: container.PidMode(s.PID), UTSMode: container.UTSMode(s.UTS), DNSOptions: s.DNSOpt, DNSSearch: s.DNSSearch,
		GroupAdd: s.GroupAdd, OomScoreAdj: s.OOMScoreAdj, ReadonlyRootfs: s.ReadOnly, SecurityOpt: s.SecurityOpt, ShmSize: cmp.Or(s.ShmSize, 64<<20), Sysctls: s.Sysctls, Runtime: ownRuntime,
		VolumesFrom: slices.Clone(s.VolumesFrom), Links: s.ExternalLinks, Resources: limits(s),
	}
	if h.LogConfig.Config == nil {
		h.LogConfig.Config = map[string]string{}
	}
	if s.Init {
		h.Init = new(true)
	}
	for i, from := range h.VolumesFrom {
		h.VolumesFrom[i] = strings.TrimPrefix(from, "container:")
	}
	for _, a := range s.DNS {
		if addr, err := netip.ParseAddr(a); err == nil {
			h.DNS = append(h.DNS, addr)
		}
	}
	for _, e := range s.ExtraHosts {
		h.ExtraHosts = append(h.ExtraHosts, e.Host+":"+e.Address)
	}
	if slices.Contains(s.SecurityOpt, unlocked) {
		h.MaskedPaths, h.ReadonlyPaths = []string{}, []string{}
		h.SecurityOpt = slices.DeleteFunc(slices.Clone(s.SecurityOpt), func(o string) bool { return o == unlocked })
	} else if d.Config != nil && d.Config.Spec.Linux != nil {
		h.MaskedPaths, h.ReadonlyPaths = d.Config.Spec.Linux.MaskedPaths, d.Config.Spec.Linux.ReadonlyPaths
	}
	bound := map[string]bool{}
	if t := d.Standalone; t != nil {
		h.AutoRemove, h.ContainerIDFile, h.PublishAllPorts, h.Binds = t.AutoRemove, t.IDFile, t.PublishAll, t.Binds
		for _, text := range t.Binds {
			if m, err := bind(text); err == nil {
				bound[m.Target] = true
			}
		}
	}
	for _, m := range s.Mounts {
		if !bound[m.Target] && (m.Type != "volume" || m.Source != "") {
			h.Mounts = append(h.Mounts, mountOf(&m))
		}
	}
	for _, m := range s.Tmpfs {
		if h.Tmpfs == nil {
			h.Tmpfs = map[string]string{}
		}
		h.Tmpfs[m.Target] = tmpfsOptions(&m)
	}
	return h
}

// networkMode is the client's word, or what a project's container would have been given.
func networkMode(d *single.Detail) string {
	if d.Spec.NetworkMode != "" {
		return d.Spec.NetworkMode
	}
	if d.Standalone != nil {
		return d.Standalone.NetworkMode
	}
	if names := slices.Sorted(maps.Keys(d.Spec.Networks)); len(names) > 0 {
		return names[0]
	}
	return network.NetworkNone
}

func limits(s *plan.Spec) container.Resources {
	r := container.Resources{
		CPUShares: int64(s.Resources.CPUShares), Memory: s.Resources.Memory, NanoCPUs: int64(s.Resources.CPUs * 1e9), CgroupParent: s.CgroupParent, CPUPeriod: int64(s.Resources.CPUPeriod),
		CPUQuota: s.Resources.CPUQuota, CpusetCpus: s.Resources.CPUSet, DeviceCgroupRules: s.DeviceRules, MemoryReservation: s.Resources.MemoryReservation, MemorySwap: s.Resources.MemorySwap,
	}
	if r.Memory > 0 && r.MemorySwap == 0 {
		r.MemorySwap = 2 * r.Memory // what bundle makes of it, and dockerd
	}
	if s.Resources.MemorySwappiness != nil {
		r.MemorySwappiness = new(int64(*s.Resources.MemorySwappiness))
	}
	if s.Resources.OOMKillDisable {
		r.OomKillDisable = new(true)
	}
	if s.Resources.Pids != 0 {
		r.PidsLimit = new(s.Resources.Pids)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Ulimits)) {
		r.Ulimits = append(r.Ulimits, &container.Ulimit{Name: name, Soft: s.Ulimits[name].Soft, Hard: s.Ulimits[name].Hard})
	}
	for _, dev := range s.Devices {
		r.Devices = append(r.Devices, container.DeviceMapping{PathOnHost: dev.Source, PathInContainer: dev.Target, CgroupPermissions: cmp.Or(dev.Permissions, "rwm")})
	}
	for _, q := range s.DeviceRequests {
		out := container.DeviceRequest{Driver: q.Driver, Count: int(q.Count), DeviceIDs: q.IDs}
		if len(q.Capabilities) > 0 {
			out.Capabilities = [][]string{q.Capabilities}
		}
		r.DeviceRequests = append(r.DeviceRequests, out)
	}
	if b := s.Resources.BlkIO; b != nil {
		throttle := func(list []plan.DeviceRate) (out []*blkiodev.ThrottleDevice) {
			for _, d := range list {
				out = append(out, &blkiodev.ThrottleDevice{Path: d.Path, Rate: uint64(d.Rate)})
			}
			return out
		}
		r.BlkioWeight, r.BlkioDeviceReadBps, r.BlkioDeviceWriteBps = b.Weight, throttle(b.ReadBps), throttle(b.WriteBps)
		r.BlkioDeviceReadIOps, r.BlkioDeviceWriteIOps = throttle(b.ReadIOps), throttle(b.WriteIOps)
		for _, d := range b.WeightDevice {
			r.BlkioWeightDevice = append(r.BlkioWeightDevice, &blkiodev.WeightDevice{Path: d.Path, Weight: uint16(d.Rate)})
		}
	}
	return r
}

func mountOf(m *plan.Mount) mount.Mount {
	out := mount.Mount{Type: mount.Type(m.Type), Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly}
	switch m.Type {
	case "bind":
		o := mount.BindOptions{
			Propagation: mount.Propagation(m.Propagation), CreateMountpoint: m.CreateHostPath, NonRecursive: m.Recursive == "disabled", ReadOnlyNonRecursive: m.Recursive == "writable",
			ReadOnlyForceRecursive: m.Recursive == "readonly",
		}
		if o != (mount.BindOptions{}) {
			out.BindOptions = &o
		}
	case "volume":
		if m.NoCopy || m.Subpath != "" || len(m.Labels) > 0 {
			out.VolumeOptions = &mount.VolumeOptions{NoCopy: m.NoCopy, Subpath: m.Subpath, Labels: m.Labels}
		}
	case "image":
		if m.Subpath != "" {
			out.ImageOptions = &mount.ImageOptions{Subpath: m.Subpath}
		}
	case "tmpfs":
		if m.Size > 0 || m.Mode > 0 || len(m.Options) > 0 {
			out.TmpfsOptions = &mount.TmpfsOptions{SizeBytes: m.Size, Mode: os.FileMode(m.Mode)}
			for _, o := range m.Options {
				out.TmpfsOptions.Options = append(out.TmpfsOptions.Options, strings.SplitN(o, "=", 2))
			}
		}
	}
	return out
}

func tmpfsOptions(m *plan.Mount) string {
	var words []string
	if m.ReadOnly {
		words = append(words, "ro")
	}
	if m.Size > 0 {
		words = append(words, "size="+strconv.FormatInt(m.Size, 10))
	}
	if m.Mode > 0 {
		words = append(words, "mode="+strconv.FormatUint(uint64(m.Mode), 8))
	}
	return strings.Join(append(words, m.Options...), ",")
}

// mountPoints are what is mounted in the container, by target.
func mountPoints(d *single.Detail) []container.MountPoint {
	out := []container.MountPoint{}
	add := func(m *plan.Mount, name string) {
		p := container.MountPoint{Type: mount.Type(m.Type), Source: m.Source, Destination: m.Target, RW: !m.ReadOnly && m.Type != "image"}
		switch m.Type {
		case "volume":
			p.Name, p.Driver, p.Source, p.Mode = name, "local", d.Volumes[name], "z"
			if m.ReadOnly {
				p.Mode = "ro"
			}
		case "bind":
			p.Propagation = mount.Propagation(cmp.Or(m.Propagation, "rprivate"))
			if m.ReadOnly {
				p.Mode = "ro"
			}
		case "tmpfs":
			p.Source = ""
		}
		out = append(out, p)
	}
	named := map[string]bool{}
	for _, m := range d.Spec.Mounts {
		named[m.Target] = true
		name := m.Source
		if m.Type == "volume" && name == "" {
			name = d.Anonymous[m.Target]
		}
		add(&m, name)
	}
	for target, name := range d.Anonymous {
		if !named[target] {
			add(&plan.Mount{Type: "volume", Target: target}, name)
		}
	}
	slices.SortFunc(out, func(a, b container.MountPoint) int {
		return strings.Compare(path.Clean(a.Destination), path.Clean(b.Destination))
	})
	return out
}

// networksOf are the container's places on networks, with their addresses while it has them.
func networksOf(d *single.Detail) map[string]*network.EndpointSettings {
	out := map[string]*network.EndpointSettings{}
	for name, e := range d.Spec.Networks {
		s := &network.EndpointSettings{NetworkID: d.NetworkIDs[name], Aliases: e.Aliases, GwPriority: e.GwPriority}
		if e.IPv4 != "" || e.IPv6 != "" || len(e.LinkLocal) > 0 {
			s.IPAMConfig = &network.EndpointIPAMConfig{}
			s.IPAMConfig.IPv4Address, _ = netip.ParseAddr(e.IPv4) // none is the zero value
			s.IPAMConfig.IPv6Address, _ = netip.ParseAddr(e.IPv6)
			for _, text := range e.LinkLocal {
				if a, err := netip.ParseAddr(text); err == nil {
					s.IPAMConfig.LinkLocalIPs = append(s.IPAMConfig.LinkLocalIPs, a)
				}
			}
		}
		for key, value := range map[string]string{optIfname: e.Interface, optSysctls: e.Sysctls} {
			if value != "" {
				if s.DriverOpts == nil {
					s.DriverOpts = map[string]string{}
				}
				s.DriverOpts[key] = value
			}
		}
		s.MacAddress = mac(e.MacAddress)
		out[name] = s
	}
	for _, mode := range []string{"none", "host"} {
		if d.Spec.NetworkMode == mode {
			out[mode] = &network.EndpointSettings{NetworkID: d.NetworkIDs[mode]}
		}
	}
	for _, e := range d.Sandbox.Endpoints {
		s := out[e.Network]
		if s == nil {
			continue
		}
		s.EndpointID = d.EndpointID(e.Network)
		s.Gateway, s.IPv6Gateway = e.Gateway4, e.Gateway6
		if e.Addr4.IsValid() {
			s.IPAddress, s.IPPrefixLen = e.Addr4.Addr(), e.Addr4.Bits()
		}
		if e.Addr6.IsValid() {
			s.GlobalIPv6Address, s.GlobalIPv6PrefixLen = e.Addr6.Addr(), e.Addr6.Bits()
		}
		if hw := mac(e.HardwareAddr()); hw != nil {
			s.MacAddress = hw
		}
		s.DNSNames = append(slices.Clone(e.Names), e.ShortID)
	}
	return out
}

func mac(text string) network.HardwareAddr {
	hw, err := net.ParseMAC(text)
	if err != nil {
		return nil
	}
	return network.HardwareAddr(hw)
}

// portBindings are the ports as they were asked for, portMap as they are.
func portBindings(s *plan.Spec) network.PortMap {
	out := network.PortMap{}
	for _, p := range s.Ports {
		port, ok := network.PortFrom(p.Target, network.IPProtocol(cmp.Or(p.Protocol, "tcp")))
		if !ok {
			continue
		}
		b := network.PortBinding{}
		b.HostIP, _ = netip.ParseAddr(p.HostIP) // none is the zero value
		if p.Published != 0 {
			b.HostPort = strconv.Itoa(int(p.Published))
		}
		if p.PublishedEnd != 0 {
			b.HostPort += "-" + strconv.Itoa(int(p.PublishedEnd))
		}
		out[port] = append(out[port], b)
	}
	return out
}

func portMap(d *single.Detail) network.PortMap {
	out := network.PortMap{}
	for _, p := range d.Ports {
		port, ok := network.PortFrom(uint16(p.TargetPort), network.IPProtocol(p.Protocol))
		if !ok {
			continue
		}
		if p.PublishedPort == 0 {
			out[port] = nil
			continue
		}
		ip, _ := netip.ParseAddr(p.URL) // none is the zero value
		out[port] = append(out[port], network.PortBinding{HostIP: ip, HostPort: strconv.Itoa(p.PublishedPort)})
	}
	return out
}
