package system

import (
	"maps"
	"net/http"
	"os"
	goruntime "runtime"
	"slices"
	"time"

	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/api/types/system"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/internal/hostinfo"
	"github.com/stackrun/stack/internal/logdriver"
)

// hub is where names without a registry are looked for, and what clients sign in to by default.
const hub = "https://index.docker.io/v1/"

// info fills in what this daemon has; what only dockerd has stays empty.
func (h *handlers) info(w http.ResponseWriter, r *http.Request) error {
	sum, err := h.engine.HostSummary(r.Context())
	if err != nil {
		return err
	}
	host := hostinfo.Read()
	cgroups := "1"
	if host.CgroupV2 {
		cgroups = "2"
	}
	fds, _ := os.ReadDir("/proc/self/fd")
	info := system.Info{
		ID:         sum.ID,
		Containers: sum.Running + sum.Paused + sum.Stopped, ContainersRunning: sum.Running, ContainersPaused: sum.Paused, ContainersStopped: sum.Stopped,
		Images: sum.Images,
		Driver: "overlayfs", DriverStatus: [][2]string{},
		Plugins: system.PluginsInfo{
			Volume: []string{"local"}, Network: []string{"bridge", "host", "ipvlan", "macvlan", "null"}, Log: append([]string{"json-file", "local", "none"}, logdriver.Names()...),
		},
		MemoryLimit: true, SwapLimit: true, CPUCfsPeriod: true, CPUCfsQuota: true, CPUShares: true, CPUSet: true, PidsLimit: true,
		OomKillDisable: !host.CgroupV2,
		IPv4Forwarding: host.Forwarding,
		NFd:            len(fds), NGoroutines: goruntime.NumGoroutine(),
		SystemTime:    time.Now().Format(time.RFC3339Nano),
		LoggingDriver: "json-file", CgroupDriver: "cgroupfs", CgroupVersion: cgroups,
		KernelVersion: host.Kernel, OperatingSystem: host.OS, OSVersion: host.OSID, OSType: "linux", Architecture: host.Machine,
		IndexServerAddress: hub, RegistryConfig: h.registries(),
		NCPU: host.CPUs, MemTotal: host.Memory,
		DockerRootDir: sum.StateRoot, Name: host.Name, Labels: []string{}, ServerVersion: h.opt.Version,
		Runtimes:       map[string]system.RuntimeWithStatus{"stack": {}},
		DefaultRuntime: "stack", InitBinary: "stack",
		Swarm:              swarm.Info{LocalNodeState: swarm.LocalNodeStateInactive},
		LiveRestoreEnabled: true, // containers run on without a daemon
		SecurityOptions:    []string{"name=seccomp,profile=builtin"},
		Warnings:           []string{},
	}
	if host.CgroupV2 {
		info.SecurityOptions = append(info.SecurityOptions, "name=cgroupns")
	}
	for _, p := range h.opt.Pools {
		info.DefaultAddressPools = append(info.DefaultAddressPools, system.NetworkAddressPool{Base: p.Base, Size: p.Size})
	}
	return wire.JSON(w, http.StatusOK, info)
}

// registries are the settings' in the API's words.
func (h *handlers) registries() *registry.ServiceConfig {
	c := &registry.ServiceConfig{IndexConfigs: map[string]*registry.IndexInfo{
		"docker.io": {Name: "docker.io", Mirrors: []string{}, Secure: true, Official: true},
	}}
	for _, name := range slices.Sorted(maps.Keys(h.opt.Mirrors)) {
		index := c.IndexConfigs[name]
		if index == nil {
			index = &registry.IndexInfo{Name: name, Secure: true}
			c.IndexConfigs[name] = index
		}
		index.Mirrors = h.opt.Mirrors[name]
		if name == "docker.io" {
			c.Mirrors = h.opt.Mirrors[name]
		}
	}
	for _, name := range h.opt.Insecure {
		index := c.IndexConfigs[name]
		if index == nil {
			index = &registry.IndexInfo{Name: name, Mirrors: []string{}}
			c.IndexConfigs[name] = index
		}
		index.Secure = false
	}
	return c
}
