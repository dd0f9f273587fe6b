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

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/health"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/standalone"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
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
	aliases   bool    // one-off that answers to its service's names
	step      *stepOf // of a one-off that is a step of pre_start
	succeeds  string  // id of the container that a rolling update replaces by it
	beside    string  // id of the container that has its names and ports while it starts; not on the host but said by who starts it
	spare     bool    // another container of its number is meant by commands, see pairUp
	note      string  // what its lines in the log begin with
	past      bool    // not itself, but the log of its predecessors
	shown     string  // what lists call it while another has its name
	encoded   string
	spec      plan.Spec // encoded, read
	health    *health.Check
	anonymous map[string]string
	mounted   map[string]string // reference → image id
	joined    []runtime.State   // in whose namespaces it is about to be started
	exposed   string            // as bundle.FactExposed
	image     string            // id of what it was made from

	alone *standalone.Traits // of one that belongs to no file, and has no project, service and number; nil = it does
}

// alive says whether c has processes, which may be frozen.
func (c *container) alive() bool { return c.Status == runtime.Running || c.Status == runtime.Paused }

// decodeContainer reads the labels and facts of cfg; nil when it is not one of ours.
func decodeContainer(cfg *runtime.Config) *container {
	l, f := cfg.Labels, cfg.Facts
	c := &container{project: l[label.Project], service: l[label.Service], name: f[bundle.FactName], encoded: f[bundle.FactWant]}
	c.image = l[label.Image]
	if raw := f[bundle.FactTraits]; raw != "" {
		c.alone = new(standalone.Traits)
		if json.Unmarshal([]byte(raw), c.alone) != nil || c.name == "" {
			return nil
		}
		c.project, c.service, c.image, c.remove = "", "", f[bundle.FactImage], c.alone.AutoRemove
	} else if c.project == "" || c.service == "" || c.name == "" {
		return nil
	}
	c.number, _ = strconv.Atoi(l[label.Number])
	c.oneOff = l[label.OneOff] == "True"
	c.remove = c.remove || f[bundle.FactRemove] != ""
	c.aliases = f[bundle.FactAliases] != ""
	c.succeeds = f[bundle.FactSucceeds]
	c.step = readStepOf(f[bundle.FactStepOf])
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
	c.exposed = f[bundle.FactExposed]
	if raw := f[bundle.FactAnonymous]; raw != "" {
		_ = json.Unmarshal([]byte(raw), &c.anonymous) // ours; a damaged one is none
	}
	if raw := f[bundle.FactMounted]; raw != "" {
		_ = json.Unmarshal([]byte(raw), &c.mounted) // likewise
	}
	return c
}

func (c *container) supervision() supervise.Config {
	return supervise.Config{Policy: c.spec.Restart, Health: c.health}
}

// orphan says whether p, the last applied file, has c's service no more. Without a file nobody is.
func (c *container) orphan(p *spec.Project) bool {
	return p != nil && p.Services[c.service] == nil && p.Inactive[c.service] == nil
}

func (c *container) label() named {
	return named{project: c.project, service: c.service, name: c.name, oneOff: c.oneOff, step: c.step != nil, actor: c.actor()}
}

// containers lists those of project ("" = all, those of no project too) by service, number and name.
func listContainers(ctx context.Context, d driver.Set, project string) ([]*container, error) {
	return selectContainers(ctx, d, func(l map[string]string) bool { return project == "" || l[label.Project] == project })
}

// listService is listContainers for one service: nothing is read of the others.
func listService(ctx context.Context, d driver.Set, project, service string) ([]*container, error) {
	return selectContainers(ctx, d, func(l map[string]string) bool { return l[label.Project] == project && l[label.Service] == service })
}

func selectContainers(ctx context.Context, d driver.Set, which func(labels map[string]string) bool) ([]*container, error) {
	states, err := d.Containers.Select(ctx, which)
	if err != nil {
		return nil, err
	}
	var found []*container
	for _, s := range states {
		if c, ok := readContainer(s); ok {
			found = append(found, c)
		}
	}
	pairUp(found)
	slices.SortFunc(found, func(a, b *container) int {
		return cmp.Or(strings.Compare(a.project, b.project), strings.Compare(a.service, b.service), cmp.Compare(a.number, b.number), order(a.spare, b.spare), strings.Compare(a.name, b.name))
	})
	return found, nil
}

// observeHost reads the host: everything that a plan for want has to know. Status of a container that its policy is about to
// start again, and its health, are not on the host but in the Engine, which adds them.
func observeHost(ctx context.Context, d driver.Set, want *plan.Desired) (*plan.Observed, error) {
	h, err := readHost(ctx, d, want.Project)
	if err != nil {
		return nil, err
	}
	have := h.of(want.Project)
	steps := map[string][]plan.InitStep{} // of those that there are, too
	for _, c := range have.Containers {
		if len(c.PreStart) > 0 {
			steps[c.Service] = append(steps[c.Service], c.PreStart...)
		}
	}
	for _, s := range want.Services {
		refs := plan.StepImages(append(steps[s.Name], s.Spec.PreStart...))
		s.Spec.EachImage(func(ref, _ string) { refs = append(refs, ref) })
		for _, ref := range refs {
			key := plan.ImageKey(ref, s.Spec.Platform)
			// A service that is not to run may have no image: only its building would make one.
			if _, done := have.Images[key]; done || ref == "" {
				continue
			}
			info, err := resolve(ctx, d, ref, s.Spec.Platform)
			switch {
			case err == nil:
				have.Images[key] = info.ID.String()
			case !errors.Is(err, errdefs.ErrNotFound):
				return nil, fmt.Errorf("cannot look up image %s: %w", ref, err)
			}
		}
	}
	return have, nil
}

var statuses = map[runtime.Status]plan.Status{
	runtime.Created: plan.StatusCreated, runtime.Running: plan.StatusRunning, runtime.Paused: plan.StatusPaused, runtime.Stopped: plan.StatusExited,
}

func observed(c *container, sandboxes map[string]network.Sandbox) plan.ContainerState {
	s := plan.ContainerState{
		ID: c.ID, Service: c.service, Replica: c.number, Name: c.name, OneOff: c.oneOff, Encoded: c.encoded, Image: c.image,
		Mounted: c.mounted, Status: statuses[c.Status], Problem: c.Problem, MustRestart: c.Lasting, PreStart: c.spec.PreStart,
	}
	for net := range c.spec.Networks {
		s.Networks = append(s.Networks, net)
	}
	slices.Sort(s.Networks)
	if c.Exit != nil {
		s.ExitCode, s.Lost = c.Exit.Code, lost(c.Exit)
	}
	s.Succeeds, s.Relieved = c.succeeds, sandboxes[c.ID].Relieved
	if box, ok := sandboxes[c.ID]; s.Status == plan.StatusRunning && c.spec.NetworkMode == "" {
		if !ok {
			s.NetworkProblem = "its network namespace is gone"
		} else if !box.Healthy {
			s.NetworkProblem = cmp.Or(box.Problem, "its network is damaged")
		}
	}
	return s
}

// observe adds what the supervisors know.
func (e *Engine) observe(ctx context.Context, want *plan.Desired) (*plan.Observed, error) {
	have, err := observeHost(ctx, e.drivers, want)
	if err != nil {
		return nil, err
	}
	e.supervised(have)
	have.Anonymous, err = e.keptAnonymous(want.Project)
	return have, err
}

// supervised adds to have what is not on the host but in memory.
func (e *Engine) supervised(have *plan.Observed) {
	for i := range have.Containers {
		c := &have.Containers[i]
		s, ok := e.group.Status(c.ID)
		if !ok {
			continue
		}
		c.Healthy = c.Status == plan.StatusRunning && s.Health == health.Healthy // of one that has ended it says how it was
		c.Unhealthy = c.Status == plan.StatusRunning && s.State == supervise.Running && s.Health == health.Unhealthy
		if s.State == supervise.Backoff && (c.Status == plan.StatusExited || c.Status == plan.StatusCreated) { // created: its start is under way
			c.Status = plan.StatusRestarting
		}
		c.MustRestart = c.MustRestart || e.stubborn(c.ID)
	}
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

func exitOf(x *process.Exit) *supervise.Exit {
	if x == nil {
		return nil
	}
	at := x.FinishedAt
	if at.IsZero() {
		at = time.Now()
	}
	return &supervise.Exit{Code: x.Code, OOM: x.OOM, At: at, Error: x.Error}
}
