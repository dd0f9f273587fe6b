package containers

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/single"
)

// listFilters are those of GET /containers/json.
var listFilters = []string{"ancestor", "before", "exited", "expose", "health", "id", "is-task", "label", "name", "network", "publish", "since", "status", "volume"}

func (h *handlers) list(w http.ResponseWriter, r *http.Request) error {
	f, err := wire.ReadFilters(r, listFilters...)
	if err != nil {
		return err
	}
	limit, err := wire.Int(r, "limit", -1)
	if err != nil {
		return err
	}
	all, err := h.engine.List(r.Context())
	if err != nil {
		return err
	}
	slices.SortStableFunc(all, func(a, b single.Detail) int { return b.CreatedAt.Compare(a.CreatedAt) }) // newest first
	// With before, since or limit dockerd lists those too that do not run.
	every := wire.Bool(r, "all") || limit > 0 || f.Has("status") || f.Has("exited") || f.Has("before") || f.Has("since")
	pick, err := selection(f, all)
	if err != nil {
		return err
	}
	out := []container.Summary{}
	now := time.Now()
	for i := range all {
		d := &all[i]
		if limit > 0 && len(out) == limit {
			break
		}
		if !every && !runs(d) || !pick(d) {
			continue
		}
		row := summary(d, now)
		if wire.Bool(r, "size") {
			if row.SizeRw, row.SizeRootFs, err = h.engine.Sizes(r.Context(), *d); err != nil {
				return err
			}
		}
		out = append(out, row)
	}
	return wire.JSON(w, http.StatusOK, out)
}

// runs says whether ps shows d of itself.
func runs(d *single.Detail) bool {
	return d.State == "running" || d.State == "paused" || d.State == "restarting"
}

// selection is what the filters let through of all.
func selection(f wire.Filters, all []single.Detail) (func(*single.Detail) bool, error) {
	var names []*regexp.Regexp
	for _, v := range f["name"] {
		re, err := regexp.Compile(v)
		if err != nil {
			return nil, invalid("invalid filter 'name=%s': %v", v, err)
		}
		names = append(names, re)
	}
	for _, v := range f["status"] {
		if err := container.ValidateContainerState(container.ContainerState(v)); err != nil {
			return nil, invalid("invalid filter 'status=%s'", v)
		}
	}
	for _, v := range f["health"] {
		if err := container.ValidateHealthStatus(container.HealthStatus(v)); err != nil {
			return nil, invalid("invalid filter 'health=%s'", v)
		}
	}
	codes := map[int]bool{}
	for _, v := range f["exited"] {
		n, err := strconv.Atoi(v)
		if err != nil {
			return nil, invalid("invalid filter 'exited=%s'", v)
		}
		codes[n] = true
	}
	var before, since time.Time
	for key, at := range map[string]*time.Time{"before": &before, "since": &since} {
		for _, v := range f[key] {
			i := slices.IndexFunc(all, func(d single.Detail) bool { return named(&d, v) })
			if i < 0 {
				return nil, invalid("invalid filter '%s=%s': No such container: %s", key, v, v)
			}
			*at = all[i].CreatedAt
		}
	}
	task, err := f.Bool("is-task", false)
	if err != nil {
		return nil, err
	}
	return func(d *single.Detail) bool {
		switch {
		case task: // of swarm, which there is none of
			return false
		case len(names) > 0 && !slices.ContainsFunc(names, func(re *regexp.Regexp) bool { return re.MatchString("/"+d.Name) || re.MatchString(d.Name) }):
			return false
		case !f.Any("id", func(v string) bool { return strings.HasPrefix(d.ID, v) }), !f.Labels("label", d.Labels), !f.Is("status", d.State):
			return false
		case !f.Is("health", cmp.Or(d.Health, "none")):
			return false
		case len(codes) > 0 && (d.Exit == nil || runs(d) || !codes[d.Exit.Code]):
			return false
		case !before.IsZero() && !d.CreatedAt.Before(before), !since.IsZero() && !d.CreatedAt.After(since):
			return false
		case !f.Any("ancestor", func(v string) bool { return ancestor(d, v) }), !f.Any("volume", func(v string) bool { return mounts(d, v) }):
			return false
		case !f.Any("network", func(v string) bool { return onNetwork(d, v) }):
			return false
		case !f.Any("publish", func(v string) bool { return hasPort(d, v, true) }), !f.Any("expose", func(v string) bool { return hasPort(d, v, false) }):
			return false
		}
		return true
	}, nil
}

func named(d *single.Detail, ref string) bool {
	return d.ID == ref || d.Name == strings.TrimPrefix(ref, "/") || len(ref) >= 4 && strings.HasPrefix(d.ID, ref)
}

// ancestor says whether d was made from the image that ref means. The images that an image was built on are not known.
func ancestor(d *single.Detail, ref string) bool {
	id := strings.TrimPrefix(d.ImageID, "sha256:")
	return d.Spec.Image == ref || d.Spec.Image == ref+":latest" || d.ImageID == ref || len(ref) >= 4 && strings.HasPrefix(id, strings.TrimPrefix(ref, "sha256:"))
}

func mounts(d *single.Detail, what string) bool {
	for _, m := range d.Spec.Mounts {
		if m.Source == what || m.Target == what {
			return true
		}
	}
	for target, name := range d.Anonymous {
		if name == what || target == what {
			return true
		}
	}
	return false
}

func onNetwork(d *single.Detail, ref string) bool {
	if d.Spec.NetworkMode == ref {
		return true
	}
	for name := range d.Spec.Networks {
		id := d.NetworkIDs[name]
		if name == ref || id == ref || len(ref) >= 4 && strings.HasPrefix(id, ref) {
			return true
		}
	}
	return false
}

func hasPort(d *single.Detail, text string, published bool) bool {
	span, err := network.ParsePortRange(text)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(d.Ports, func(p ask.Publisher) bool {
		n := p.TargetPort
		if published {
			n = p.PublishedPort
		}
		return n >= int(span.Start()) && n <= int(span.End()) && n != 0 && p.Protocol == string(span.Proto())
	})
}

func summary(d *single.Detail, now time.Time) container.Summary {
	row := container.Summary{
		ID: d.ID, Names: []string{"/" + d.Name}, Image: d.Spec.Image, ImageID: d.ImageID, Command: d.CommandLine(), Created: d.CreatedAt.Unix(), Ports: ports(d), Labels: d.Labels,
		State: container.ContainerState(d.State), Status: status(d, now), Mounts: mountPoints(d), NetworkSettings: &container.NetworkSettingsSummary{Networks: networksOf(d)},
	}
	row.HostConfig.NetworkMode, row.HostConfig.Annotations = networkMode(d), d.Spec.Annotations
	if d.Health != "" {
		row.Health = &container.HealthSummary{Status: container.HealthStatus(d.Health), FailingStreak: d.Failing}
	}
	return row
}

// status is the sentence that ps shows.
func status(d *single.Detail, now time.Time) string {
	since := func(t time.Time) string { return units.HumanDuration(now.Sub(t)) }
	switch d.State {
	case "paused":
		return fmt.Sprintf("Up %s (Paused)", since(d.StartedAt))
	case "running":
		switch d.Health {
		case "":
			return "Up " + since(d.StartedAt)
		case "starting":
			return fmt.Sprintf("Up %s (health: starting)", since(d.StartedAt))
		}
		return fmt.Sprintf("Up %s (%s)", since(d.StartedAt), d.Health)
	case "restarting", "exited":
		word := map[string]string{"restarting": "Restarting", "exited": "Exited"}[d.State]
		if d.Exit == nil {
			return word
		}
		return fmt.Sprintf("%s (%d) %s ago", word, d.Exit.Code, since(d.Exit.FinishedAt))
	}
	return "Created"
}

func ports(d *single.Detail) []container.PortSummary {
	out := []container.PortSummary{}
	for _, p := range d.Ports {
		ip, _ := netip.ParseAddr(p.URL) // none is the zero value
		out = append(out, container.PortSummary{IP: ip, PrivatePort: uint16(p.TargetPort), PublicPort: uint16(p.PublishedPort), Type: p.Protocol})
	}
	return out
}
