package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime"
)

// Containers lists every container of project, of every state, one-offs too, by service and number.
func (e *Engine) Containers(ctx context.Context, project string) ([]ask.Container, error) {
	list, err := listContainers(ctx, e.drivers, project)
	if err != nil {
		return nil, err
	}
	boxes, err := e.drivers.Networks.Sandboxes(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list network namespaces: %w", err)
	}
	byID := map[string]network.Sandbox{}
	for _, b := range boxes {
		byID[b.ContainerID] = b
	}
	p, err := e.known(project)
	if err != nil {
		return nil, err
	}
	out := make([]ask.Container, 0, len(list))
	for _, c := range list {
		row := e.row(c, byID[c.ID])
		row.Orphan = c.orphan(p)
		out = append(out, row)
	}
	return out, nil
}

func (e *Engine) row(c *container, box network.Sandbox) ask.Container {
	s := e.statusOf(c)
	row := ask.Container{
		ID: c.ID, Name: c.rowName(), Project: c.project, Service: c.service, Replica: c.number, OneOff: c.oneOff,
		Image: c.spec.Image, State: stateWord(c, s), Exit: c.Exit, Pid: c.Pid, CreatedAt: c.CreatedAt, StartedAt: c.StartedAt, LogError: c.LogError,
		Ports: publishers(box), Networks: map[string]string{}, Mounts: []string{}, Labels: map[string]string{}, Restarts: s.Restarts, TTY: c.spec.TTY, StdinOpen: c.spec.StdinOpen,
	}
	tellAsked(row.Ports, c.spec.Ports)
	if c.alive() {
		row.Ports = withExposed(row.Ports, c)
	}
	if c.Status == runtime.Running {
		row.Health = string(s.Health)
		if c.health != nil && row.Health == "" {
			row.Health = "starting"
		}
		row.HealthLog = probeResults(s.Results)
	}
	if c.Config != nil && c.Config.Spec != nil && c.Config.Spec.Process != nil {
		row.Command = c.Config.Spec.Process.Args
	}
	for name := range c.spec.Networks {
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
	for _, m := range c.spec.Mounts {
		if m.Source != "" {
			row.Mounts = append(row.Mounts, m.Source)
		}
	}
	row.Mounts = append(row.Mounts, slices.Sorted(maps.Values(c.anonymous))...)
	maps.Copy(row.Labels, c.Labels)
	if c.alone != nil {
		maps.Copy(row.Labels, c.alone.Labels)
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
func withExposed(published []ask.Publisher, c *container) []ask.Publisher {
	if len(c.spec.Networks) == 0 || c.exposed == "" {
		return published
	}
	for entry := range strings.SplitSeq(c.exposed, ",") {
		first, last, protocol, err := portRange(entry)
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

// portRange reads "443/tcp" or "8000-8009/tcp".
func portRange(entry string) (first, last int, protocol string, err error) {
	span, protocol, _ := strings.Cut(entry, "/")
	low, high, ranged := strings.Cut(span, "-")
	from, err := strconv.ParseUint(low, 10, 16)
	to := from
	if ranged && err == nil {
		to, err = strconv.ParseUint(high, 10, 16)
	}
	return int(from), int(to), protocol, err
}

// Projects lists every project that has a container, or was brought up and not taken down, by name.
func (e *Engine) Projects(ctx context.Context) ([]ask.ProjectSummary, error) {
	list, err := listContainers(ctx, e.drivers, "")
	if err != nil {
		return nil, err
	}
	rows := map[string]*ask.ProjectSummary{}
	row := func(name string) *ask.ProjectSummary {
		if rows[name] == nil {
			rows[name] = &ask.ProjectSummary{Name: name, States: map[string]int{}}
		}
		return rows[name]
	}
	for _, c := range list {
		if c.alone != nil {
			continue
		}
		r := row(c.project)
		r.States[stateWord(c, e.statusOf(c))]++
		if files := c.Labels[label.ConfigFiles]; len(r.Files) == 0 && files != "" {
			r.Files = strings.Split(files, ",")
		}
		if r.Dir == "" {
			r.Dir = c.Labels[label.WorkingDir]
		}
	}
	var names []string
	if err := e.store.Each(bucketProjects, func(name string, _ []byte) error {
		names = append(names, name)
		return nil
	}); err != nil {
		return nil, err
	}
	for _, name := range names {
		p, err := e.known(name)
		if err != nil {
			return nil, err
		}
		r := row(name)
		if p == nil { // it was taken down meanwhile
			continue
		}
		if len(r.Files) == 0 {
			r.Files = p.Files
		}
		r.Dir, r.Isolated = p.Dir, p.Isolated != ""
	}
	out := make([]ask.ProjectSummary, 0, len(rows))
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		out = append(out, *rows[name])
	}
	return out, nil
}
