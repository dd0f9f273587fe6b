package inventory

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/health"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
)

// Row is c as ps has it; box is its network, s what is known of its run.
func Row(c *Container, box network.Sandbox, s supervise.Status) ask.Container {
	row := ask.Container{
		ID: c.ID, Name: c.RowName(), Project: c.Project, Service: c.Service, Replica: c.Number, OneOff: c.OneOff,
		Image: c.Spec.Image, State: StateWord(c, s), Exit: c.Exit, Pid: c.Pid, CreatedAt: c.CreatedAt, StartedAt: c.StartedAt, LogError: c.LogError,
		Ports: publishers(box), Networks: map[string]string{}, Mounts: []string{}, Labels: map[string]string{}, Restarts: s.Restarts, TTY: c.Spec.TTY, StdinOpen: c.Spec.StdinOpen,
	}
	tellAsked(row.Ports, c.Spec.Ports)
	if c.Alive() {
		row.Ports = withExposed(row.Ports, c)
	}
	if c.Status == runtime.Running {
		row.Health = string(s.Health)
		if c.Health != nil && row.Health == "" {
			row.Health = "starting"
		}
		row.HealthLog = ProbeResults(s.Results)
	}
	if c.Config != nil && c.Config.Spec != nil && c.Config.Spec.Process != nil {
		row.Command = c.Config.Spec.Process.Args
	}
	for name := range c.Spec.Networks {
		row.Networks[name] = ""
	}
	for _, ep := range box.Endpoints {
		switch {
		case ep.Addr4.IsValid():
			row.Networks[ep.Network] = ep.Addr4.Addr().String()
		case ep.Addr6.IsValid():
			row.Networks[ep.Network] = ep.Addr6.Addr().String()
		}
	}
	for _, m := range c.Spec.Mounts {
		if m.Source != "" {
			row.Mounts = append(row.Mounts, m.Source)
		}
	}
	row.Mounts = append(row.Mounts, slices.Sorted(maps.Values(c.Anonymous))...)
	maps.Copy(row.Labels, c.Labels)
	if c.Alone != nil {
		maps.Copy(row.Labels, c.Alone.Labels)
	}
	return row
}

func publishers(box network.Sandbox) []ask.Publisher {
	out := []ask.Publisher{}
	for _, p := range box.Ports {
		urls := []string{"0.0.0.0", "::"}
		if p.HostIP.IsValid() {
			urls = []string{p.HostIP.String()}
		}
		for _, url := range urls {
			out = append(out, ask.Publisher{URL: url, TargetPort: int(p.ContainerPort), PublishedPort: int(p.HostPort), Protocol: p.Protocol})
		}
	}
	return out
}

// tellAsked gives published ports what the file says of them. wanted are those that the container was made for.
func tellAsked(published []ask.Publisher, wanted []plan.Port) {
	for i, pub := range published {
		for _, p := range wanted {
			if p.Published == 0 || int(p.Target) != pub.TargetPort || cmp.Or(p.Protocol, "tcp") != pub.Protocol || pub.PublishedPort < int(p.Published) || pub.PublishedPort > int(max(p.Published, p.PublishedEnd)) {
				continue
			}
			asked := p.AsAsked()
			published[i].Asked = strconv.Itoa(int(asked.Published))
			if asked.PublishedEnd > asked.Published {
				published[i].Asked += "-" + strconv.Itoa(int(asked.PublishedEnd))
			}
		}
	}
}

// withExposed adds the ports that c listens on and does not publish, as docker shows them: those of a container with a network of
// its own.
func withExposed(published []ask.Publisher, c *Container) []ask.Publisher {
	if len(c.Spec.Networks) == 0 || c.Exposed == "" {
		return published
	}
	for entry := range strings.SplitSeq(c.Exposed, ",") {
		first, last, protocol, err := Ports(entry)
		if err != nil {
			continue // the image's own words, and only for display
		}
		for port := first; port <= last; port++ {
			if !slices.ContainsFunc(published, func(p ask.Publisher) bool { return p.TargetPort == port && p.Protocol == protocol }) {
				published = append(published, ask.Publisher{TargetPort: port, Protocol: protocol})
			}
		}
	}
	return published
}

// Ports reads "443/tcp" or "8000-8009/tcp".
func Ports(entry string) (first, last int, protocol string, err error) {
	span, protocol, _ := strings.Cut(entry, "/")
	low, high, ranged := strings.Cut(span, "-")
	from, err := strconv.ParseUint(low, 10, 16)
	to := from
	if ranged && err == nil {
		to, err = strconv.ParseUint(high, 10, 16)
	}
	return int(from), int(to), protocol, err
}

// StateWord is a container's state as ps shows it.
func StateWord(c *Container, s supervise.Status) string {
	switch {
	case s.State == supervise.Backoff:
		return "restarting"
	case c.Status == runtime.Stopped:
		return "exited"
	}
	return string(c.Status)
}

// ProbeResults are runs of a health check as ps has them.
func ProbeResults(list []health.Result) []ask.ProbeResult {
	var out []ask.ProbeResult
	for _, r := range list {
		out = append(out, ask.ProbeResult{Start: r.Start, End: r.End, ExitCode: r.Code, Output: r.Output})
	}
	return out
}

// Ended says for people how a run has ended: "exited with code 1".
func Ended(s supervise.Status) string {
	if s.Exit == nil {
		return "does not run"
	}
	return process.Ended(s.Exit.Code, s.Exit.OOM, s.Exit.Error)
}
