package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/volume"
)

// Host is what the drivers see at one moment.
type Host struct {
	Containers []*Container
	sandboxes  map[string]network.Sandbox // by container
	networks   []network.State
	volumes    map[string]volume.State
	snapshots  map[string]bool // by container
}

// ReadHost asks every driver; of containers, for those of project ("" = all).
func ReadHost(ctx context.Context, d driver.Set, project string) (*Host, error) {
	h := &Host{sandboxes: map[string]network.Sandbox{}, volumes: map[string]volume.State{}, snapshots: map[string]bool{}}
	// Side by side: each reads files or asks the kernel, and an up that changes nothing does little else.
	var work errgroup.Group
	work.Go(func() (err error) {
		h.Containers, err = List(ctx, d, project)
		return err
	})
	work.Go(func() error {
		boxes, err := d.Networks.Sandboxes(ctx)
		if err != nil {
			return fmt.Errorf("cannot list network namespaces: %w", err)
		}
		for _, b := range boxes {
			h.sandboxes[b.ContainerID] = b
		}
		if h.networks, err = d.Networks.List(ctx); err != nil {
			return fmt.Errorf("cannot list networks: %w", err)
		}
		return nil
	})
	work.Go(func() error {
		volumes, err := d.Volumes.List(ctx)
		if err != nil {
			return fmt.Errorf("cannot list volumes: %w", err)
		}
		for _, v := range volumes {
			h.volumes[v.Config.ID] = v
		}
		snapshots, err := d.Images.Snapshots(ctx)
		if err != nil {
			return fmt.Errorf("cannot list snapshots: %w", err)
		}
		for _, key := range snapshots {
			h.snapshots[key] = true
		}
		return nil
	})
	return h, errdefs.With(ErrUnseen, work.Wait())
}

// Of is what h shows of one project, in the plan's words. Images are not in it.
func (h *Host) Of(project string) *plan.Observed {
	have := &plan.Observed{Images: map[string]string{}, Networks: map[string]plan.NetworkState{}, Volumes: map[string]plan.VolumeState{}}
	for _, c := range h.Containers {
		if c.Project == project {
			s := StateOf(c, h.sandboxes)
			h.complete(c, &s)
			have.Containers = append(have.Containers, s)
		}
	}
	for _, n := range h.networks {
		s := plan.NetworkState{Name: n.Config.ID, Project: n.Config.Labels[label.Project], Encoded: n.Config.Labels[label.Want]}
		if !n.Healthy {
			s.Problem = cmp.Or(n.Problem, "it is damaged")
		}
		have.Networks[s.Name] = s
	}
	for name, v := range h.volumes {
		have.Volumes[name] = plan.VolumeState{Name: name, Project: v.Config.Labels[label.Project], Encoded: v.Config.Labels[label.Want], Problem: v.Problem}
	}
	return have
}

// Observe reads the host: everything that a plan for want has to know. Status of a container that its policy is about to
// start again, and its health, are not on the host but in the Engine, which adds them.
func Observe(ctx context.Context, d driver.Set, want *plan.Desired) (*plan.Observed, error) {
	h, err := ReadHost(ctx, d, want.Project)
	if err != nil {
		return nil, err
	}
	have := h.Of(want.Project)
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
			info, err := Image(ctx, d, ref, s.Spec.Platform)
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

// StateOf is c in the words of a plan, without what it takes the whole host to know; sandboxes are by container.
func StateOf(c *Container, sandboxes map[string]network.Sandbox) plan.ContainerState {
	s := plan.ContainerState{
		ID: c.ID, Service: c.Service, Replica: c.Number, Name: c.Name, OneOff: c.OneOff, Encoded: c.Encoded, Image: c.Image,
		Mounted: c.mounted, Status: statuses[c.Status], StartedAt: c.StartedAt, Policy: c.Spec.Restart, Problem: c.Problem, MustRestart: c.Lasting, PreStart: c.Spec.PreStart,
	}
	for net := range c.Spec.Networks {
		s.Networks = append(s.Networks, net)
	}
	slices.Sort(s.Networks)
	if c.Exit != nil {
		s.ExitCode, s.Lost = c.Exit.Code, Lost(c.Exit)
	}
	s.Succeeds, s.Relieved = c.Succeeds, sandboxes[c.ID].Relieved
	if box, ok := sandboxes[c.ID]; s.Status == plan.StatusRunning && c.Spec.NetworkMode == "" {
		if !ok {
			s.NetworkProblem = "its network namespace is gone"
		} else if !box.Healthy {
			s.NetworkProblem = cmp.Or(box.Problem, "its network is damaged")
		}
	}
	return s
}

// complete adds to what StateOf says what it takes the whole host to know.
func (h *Host) complete(c *Container, s *plan.ContainerState) {
	s.Anonymous = maps.Clone(c.Anonymous)
	for _, target := range slices.Sorted(maps.Keys(c.Anonymous)) {
		if v, ok := h.volumes[c.Anonymous[target]]; !ok || v.Problem != "" {
			s.Gone = "its anonymous volume for " + target + " is gone"
			delete(s.Anonymous, target)
		}
	}
	if !h.snapshots[c.ID] {
		s.Gone = "its root filesystem is gone"
	}
	if s.Status == plan.StatusRunning {
		h.addNetworkProblem(c, s)
	}
}

// Lost says why the end of a run was not its own doing, "" = it was. Within its own pid namespace nobody can send SIGKILL to a container's
// init (pid_namespaces(7)), and the kernel's want of memory is told apart; an end that nobody saw, of the host or of the monitor, and a
// start that failed, say so themselves. What was stopped by a command is in the wishes.
func Lost(x *process.Exit) string {
	switch {
	case x.Error != "":
		return x.Error
	case x.Signal == int(unix.SIGKILL) && !x.OOM:
		return "it was killed, and not by a command"
	}
	return ""
}

// addNetworkProblem says whether c lives in a network namespace that its owner has left.
func (h *Host) addNetworkProblem(c *Container, s *plan.ContainerState) {
	if host, ok := strings.CutPrefix(c.Spec.NetworkMode, "service:"); ok {
		if owner := h.networkOwner(c.Project, host); owner != nil && leftBehindBy(c, h.sandboxes[owner.ID]) {
			s.NetworkProblem, s.MustRestart = "the network namespace of "+owner.Name+", which it lives in, was made anew", true
		}
	}
}

// networkOwner is the running container whose sandbox those of network_mode service:host live in; nil = none runs.
func (h *Host) networkOwner(project, host string) *Container {
	for range h.Containers { // no chain is longer
		i := slices.IndexFunc(h.Containers, func(c *Container) bool {
			return c.Project == project && c.Service == host && !c.OneOff && c.Alive()
		})
		if i < 0 {
			return nil
		}
		next, ok := strings.CutPrefix(h.Containers[i].Spec.NetworkMode, "service:")
		if !ok {
			return h.Containers[i]
		}
		host = next
	}
	return nil
}

// leftBehindBy says whether c, which shares box, lives in another network namespace: box was taken down and made anew while c ran on. Without
// an answer from the host it says no.
func leftBehindBy(c *Container, box network.Sandbox) bool {
	if box.Path == "" || !box.Healthy {
		return false
	}
	mine, err := os.Stat(fmt.Sprintf("/proc/%d/ns/net", c.Pid))
	if err != nil {
		return false
	}
	theirs, err := os.Stat(box.Path)
	return err == nil && !os.SameFile(mine, theirs)
}
