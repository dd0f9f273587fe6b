package reconcile

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/health"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/volume"
)

// container is one of ours on the host, its labels and facts read.
type container struct {
	runtime.State
	project   string
	service   string
	number    int
	name      string
	oneOff    bool
	remove    bool
	aliases   bool // one-off that answers to its service's names
	encoded   string
	spec      plan.Spec // encoded, read
	health    *health.Check
	anonymous map[string]string
}

// readContainer reads labels and facts. false: it is not one of ours.
func readContainer(s runtime.State) (*container, bool) {
	if s.Config == nil {
		return nil, false
	}
	l, f := s.Labels, s.Config.Facts
	c := &container{State: s, project: l[labelProject], service: l[labelService], name: f[bundle.FactName], encoded: f[bundle.FactWant]}
	if c.project == "" || c.service == "" || c.name == "" {
		return nil, false
	}
	c.number, _ = strconv.Atoi(l[labelNumber])
	c.oneOff = l[labelOneOff] == "True"
	c.remove = f[bundle.FactRemove] != ""
	c.aliases = f[bundle.FactAliases] != ""
	var want struct {
		Spec plan.Spec `json:"spec"`
	}
	if json.Unmarshal([]byte(c.encoded), &want) == nil {
		c.spec = want.Spec
	}
	if raw := f[bundle.FactHealth]; raw != "" {
		c.health = new(health.Check)
		if json.Unmarshal([]byte(raw), c.health) != nil {
			c.health = nil
		}
	}
	if raw := f[bundle.FactAnonymous]; raw != "" {
		_ = json.Unmarshal([]byte(raw), &c.anonymous) // ours; a damaged one is none
	}
	return c, true
}

func (c *container) supervision() supervise.Config {
	return supervise.Config{Policy: c.spec.Restart, Health: c.health}
}

// orphan says whether p, the last applied file, has c's service no more. Without a file nobody is.
func (c *container) orphan(p *spec.Project) bool {
	return p != nil && p.Services[c.service] == nil && p.Inactive[c.service] == nil
}

func (c *container) label() named {
	return named{project: c.project, service: c.service, name: c.name, oneOff: c.oneOff}
}

// containers lists those of project ("" = all) by service, number and name.
func listContainers(ctx context.Context, d driver.Set, project string) ([]*container, error) {
	states, err := d.Containers.List(ctx)
	if err != nil {
		return nil, err
	}
	var found []*container
	for _, s := range states {
		if c, ok := readContainer(s); ok && (project == "" || c.project == project) {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b *container) int {
		return cmp.Or(strings.Compare(a.project, b.project), strings.Compare(a.service, b.service), cmp.Compare(a.number, b.number), strings.Compare(a.name, b.name))
	})
	return found, nil
}

// Observe reads the host: everything that a plan for want has to know. Status of a container that its policy is about to
// start again, and its health, are not on the host but in the Engine, which adds them.
func Observe(ctx context.Context, d driver.Set, want *plan.Desired) (*plan.Observed, error) {
	have := &plan.Observed{Images: map[string]string{}, Networks: map[string]plan.NetworkState{}, Volumes: map[string]plan.VolumeState{}}
	// Side by side: each reads files or asks the kernel, and an up that changes nothing does little else.
	var (
		work      errgroup.Group
		list      []*container
		sandboxes []network.Sandbox
		networks  []network.State
		volumes   []volume.State
	)
	work.Go(func() (err error) {
		list, err = listContainers(ctx, d, want.Project)
		return err
	})
	work.Go(func() (err error) {
		if sandboxes, err = d.Networks.Sandboxes(ctx); err != nil {
			return fmt.Errorf("cannot list network namespaces: %w", err)
		}
		if networks, err = d.Networks.List(ctx); err != nil {
			return fmt.Errorf("cannot list networks: %w", err)
		}
		return nil
	})
	work.Go(func() (err error) {
		if volumes, err = d.Volumes.List(ctx); err != nil {
			return fmt.Errorf("cannot list volumes: %w", err)
		}
		return nil
	})
	if err := work.Wait(); err != nil {
		return nil, err
	}
	byID := make(map[string]network.Sandbox, len(sandboxes))
	for _, s := range sandboxes {
		byID[s.ContainerID] = s
	}
	for _, c := range list {
		have.Containers = append(have.Containers, observed(c, byID))
	}
	for _, n := range networks {
		s := plan.NetworkState{Name: n.Config.ID, Project: n.Config.Labels[labelProject], Encoded: n.Config.Labels[labelWant]}
		if !n.Healthy {
			s.Problem = cmp.Or(n.Problem, "it is damaged")
		}
		have.Networks[s.Name] = s
	}
	for _, v := range volumes {
		have.Volumes[v.Config.ID] = plan.VolumeState{Name: v.Config.ID, Project: v.Config.Labels[labelProject], Encoded: v.Config.Labels[labelWant]}
	}
	for _, s := range want.Services {
		key := s.Spec.ImageKey()
		// A service that is not to run may have no image: only its building would make one.
		if _, done := have.Images[key]; done || s.Spec.Image == "" {
			continue
		}
		info, err := resolve(ctx, d, s.Spec.Image, s.Spec.Platform)
		switch {
		case err == nil:
			have.Images[key] = info.ID.String()
		case !errors.Is(err, errdefs.ErrNotFound):
			return nil, fmt.Errorf("cannot look up image %s: %w", s.Spec.Image, err)
		}
	}
	return have, nil
}

var statuses = map[runtime.Status]plan.Status{
	runtime.Created: plan.StatusCreated, runtime.Running: plan.StatusRunning, runtime.Paused: plan.StatusPaused, runtime.Stopped: plan.StatusExited,
}

func observed(c *container, sandboxes map[string]network.Sandbox) plan.ContainerState {
	s := plan.ContainerState{
		ID: c.ID, Service: c.service, Replica: c.number, Name: c.name, OneOff: c.oneOff, Encoded: c.encoded, Image: c.Labels[labelImage],
		Status: statuses[c.Status], Anonymous: c.anonymous,
	}
	for net := range c.spec.Networks {
		s.Networks = append(s.Networks, net)
	}
	slices.Sort(s.Networks)
	if c.Exit != nil {
		s.ExitCode = c.Exit.Code
	}
	if s.Status == plan.StatusRunning && c.spec.NetworkMode == "" {
		if box, ok := sandboxes[c.ID]; !ok {
			s.Problem = "its network namespace is gone"
		} else if !box.Healthy {
			s.Problem = cmp.Or(box.Problem, "its network is damaged")
		}
	}
	return s
}

// observe adds what the supervisors know.
func (e *Engine) observe(ctx context.Context, want *plan.Desired) (*plan.Observed, error) {
	have, err := Observe(ctx, e.drivers, want)
	if err != nil {
		return nil, err
	}
	for i := range have.Containers {
		c := &have.Containers[i]
		s, ok := e.group.Status(c.ID)
		if !ok {
			continue
		}
		c.Healthy = s.Health == health.Healthy
		if s.State == supervise.Backoff && c.Status == plan.StatusExited {
			c.Status = plan.StatusRestarting
		}
	}
	have.Anonymous, err = e.keptAnonymous(want.Project)
	return have, err
}

func platform(s string) (v1.Platform, error) {
	if s == "" {
		return v1.Platform{}, nil
	}
	p, err := v1.ParsePlatform(s)
	if err != nil {
		return v1.Platform{}, fmt.Errorf("cannot use platform %q: %w", s, err)
	}
	return *p, nil
}

func shortID(id string) string { return id[:min(12, len(id))] }

func exitOf(x *runtime.Exit) *supervise.Exit {
	if x == nil {
		return nil
	}
	at := x.FinishedAt
	if at.IsZero() {
		at = time.Now()
	}
	return &supervise.Exit{Code: x.Code, OOM: x.OOM, At: at, Error: x.Error}
}
