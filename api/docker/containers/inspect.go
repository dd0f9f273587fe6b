package containers

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/storage"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/reconcile/single"
)

// inspectResponse is container.InspectResponse with what it has lost since API version 1.51, and clients of those versions read.
type inspectResponse struct {
	container.InspectResponse
	NetworkSettings *networkSettings
}

// networkSettings, as above. The unnamed addresses are those on the default network.
type networkSettings struct {
	container.NetworkSettings
	Bridge                 string
	HairpinMode            bool
	LinkLocalIPv6Address   string
	LinkLocalIPv6PrefixLen int
	SecondaryIPAddresses   []string
	SecondaryIPv6Addresses []string
	EndpointID             string
	Gateway                string
	GlobalIPv6Address      string
	GlobalIPv6PrefixLen    int
	IPAddress              string
	IPPrefixLen            int
	IPv6Gateway            string
	MacAddress             string
}

func (h *handlers) inspect(w http.ResponseWriter, r *http.Request) error {
	d, err := h.engine.Inspect(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	out := inspected(&d)
	if wire.Bool(r, "size") {
		written, all, err := h.engine.Sizes(r.Context(), d)
		if err != nil {
			return err
		}
		out.SizeRw, out.SizeRootFs = &written, &all
	}
	return wire.JSON(w, http.StatusOK, out)
}

func inspected(d *single.Detail) *inspectResponse {
	out := &inspectResponse{InspectResponse: container.InspectResponse{
		ID: d.ID, Created: d.CreatedAt.UTC().Format(time.RFC3339Nano), Image: d.ImageID, Name: "/" + d.Name, RestartCount: d.Restarts, Driver: "overlay2", Platform: "linux",
		State: state(d), HostConfig: hostConfig(d), Mounts: mountPoints(d), Config: config(d), GraphDriver: &storage.DriverData{Name: "overlay2"},
	}}
	if len(d.Command) > 0 {
		out.Path, out.Args = d.Command[0], d.Command[1:]
	}
	if out.Args == nil {
		out.Args = []string{}
	}
	if len(d.Execs) > 0 {
		out.ExecIDs = d.Execs
	}
	if d.Config != nil {
		out.LogPath = d.Config.Log.Path
	}
	settings := networksOf(d)
	out.NetworkSettings = &networkSettings{NetworkSettings: container.NetworkSettings{SandboxID: d.ID, SandboxKey: d.Sandbox.Path, Ports: portMap(d), Networks: settings}}
	if e := settings[defaultNetwork]; e != nil && e.IPAddress.IsValid() {
		n := out.NetworkSettings
		n.EndpointID, n.Gateway, n.IPAddress, n.IPPrefixLen, n.MacAddress = e.EndpointID, e.Gateway.String(), e.IPAddress.String(), e.IPPrefixLen, e.MacAddress.String()
		if e.GlobalIPv6Address.IsValid() {
			n.GlobalIPv6Address, n.GlobalIPv6PrefixLen, n.IPv6Gateway = e.GlobalIPv6Address.String(), e.GlobalIPv6PrefixLen, e.IPv6Gateway.String()
		}
	}
	return out
}

func state(d *single.Detail) *container.State {
	s := &container.State{
		Status: container.ContainerState(d.State), Running: d.State == "running" || d.State == "paused" || d.Restarting, Paused: d.State == "paused", Restarting: d.Restarting, Pid: d.Pid,
		StartedAt: d.StartedAt.UTC().Format(time.RFC3339Nano), FinishedAt: time.Time{}.Format(time.RFC3339Nano),
	}
	if d.Exit != nil {
		s.ExitCode, s.OOMKilled, s.Error, s.FinishedAt = d.Exit.Code, d.Exit.OOM, d.Exit.Error, d.Exit.FinishedAt.UTC().Format(time.RFC3339Nano)
	}
	if d.Health != "" {
		s.Health = &container.Health{Status: container.HealthStatus(d.Health), FailingStreak: d.Failing, Log: []*container.HealthcheckResult{}}
		for _, r := range d.HealthLog {
			s.Health.Log = append(s.Health.Log, &container.HealthcheckResult{Start: r.Start, End: r.End, ExitCode: r.ExitCode, Output: r.Output})
		}
	}
	return s
}

// config is the portable half: what was asked for, over what the image says.
func config(d *single.Detail) *container.Config {
	s := &d.Spec
	c := &container.Config{
		Domainname: s.Domainname, User: s.User, Tty: s.TTY, OpenStdin: s.StdinOpen, Image: s.Image, WorkingDir: s.WorkingDir, Labels: d.Labels, StopSignal: s.StopSignal,
		Cmd: s.Command, Entrypoint: s.Entrypoint, Volumes: map[string]struct{}{},
	}
	if c.User == "" {
		c.User = d.ImageConfig.User
	}
	if c.WorkingDir == "" {
		c.WorkingDir = d.ImageConfig.WorkingDir
	}
	if c.StopSignal == "" {
		c.StopSignal = d.ImageConfig.StopSignal
	}
	if s.Entrypoint == nil {
		c.Entrypoint = d.ImageConfig.Entrypoint
	}
	if len(s.Command) == 0 && len(s.Entrypoint) == 0 {
		c.Cmd = d.ImageConfig.Cmd
	}
	if d.Config != nil {
		c.Hostname, c.Domainname = d.Config.Spec.Hostname, d.Config.Spec.Domainname
		if p := d.Config.Spec.Process; p != nil {
			own := []string{"HOSTNAME=" + c.Hostname, "TERM=xterm"} // of the platform's, and nobody's word
			c.Env = slices.DeleteFunc(slices.Clone(p.Env), func(kv string) bool { return slices.Contains(own, kv) })
		}
	}
	if s.StopGrace != nil {
		c.StopTimeout = new(int(*s.StopGrace / time.Second))
		if *s.StopGrace >= time.Duration(1<<62-1) {
			*c.StopTimeout = -1
		}
	}
	for _, text := range d.Exposed {
		if r, err := network.ParsePortRange(text); err == nil {
			for port := range r.All() {
				if c.ExposedPorts == nil {
					c.ExposedPorts = network.PortSet{}
				}
				c.ExposedPorts[port] = struct{}{}
			}
		}
	}
	for target := range maps.Keys(d.Anonymous) {
		c.Volumes[target] = struct{}{}
	}
	if t := d.Standalone; t != nil {
		c.AttachStdin, c.AttachStdout, c.AttachStderr, c.StdinOnce = t.AttachStdin, t.AttachStdout, t.AttachStderr, t.StdinOnce
	}
	c.Healthcheck = healthConfig(d)
	return c
}

func healthConfig(d *single.Detail) *container.HealthConfig {
	h := d.Spec.HealthCheck
	switch {
	case h == nil && d.ImageConfig.Healthcheck == nil:
		return nil
	case h == nil:
		i := d.ImageConfig.Healthcheck
		return &container.HealthConfig{Test: i.Test, Interval: i.Interval, Timeout: i.Timeout, StartPeriod: i.StartPeriod, Retries: i.Retries}
	case h.Disable:
		return &container.HealthConfig{Test: []string{"NONE"}}
	}
	out := &container.HealthConfig{Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, StartInterval: h.StartInterval, Retries: h.Retries}
	if i := d.ImageConfig.Healthcheck; i != nil && len(out.Test) == 0 {
		out.Test = i.Test
	}
	return out
}
