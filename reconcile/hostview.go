package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/volume"
)

// hostView is what the drivers see at one moment.
type hostView struct {
	containers []*container
	sandboxes  map[string]network.Sandbox // by container
	networks   []network.State
	volumes    map[string]volume.State
	snapshots  map[string]bool // by container
}

// readHost asks every driver; of containers, for those of project ("" = all).
func readHost(ctx context.Context, d driver.Set, project string) (*hostView, error) {
	h := &hostView{sandboxes: map[string]network.Sandbox{}, volumes: map[string]volume.State{}, snapshots: map[string]bool{}}
	// Side by side: each reads files or asks the kernel, and an up that changes nothing does little else.
	var work errgroup.Group
	work.Go(func() (err error) {
		h.containers, err = listContainers(ctx, d, project)
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
	return h, work.Wait()
}

// of is what h shows of one project, in the plan's words. Images are not in it.
func (h *hostView) of(project string) *plan.Observed {
	have := &plan.Observed{Images: map[string]string{}, Networks: map[string]plan.NetworkState{}, Volumes: map[string]plan.VolumeState{}}
	for _, c := range h.containers {
		if c.project == project {
			s := observed(c, h.sandboxes)
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

// complete adds to what observed says what it takes the whole host to know.
func (h *hostView) complete(c *container, s *plan.ContainerState) {
	s.Anonymous = maps.Clone(c.anonymous)
	for _, target := range slices.Sorted(maps.Keys(c.anonymous)) {
		if v, ok := h.volumes[c.anonymous[target]]; !ok || v.Problem != "" {
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

// lost says why the end of a run was not its own doing, "" = it was. Within its own pid namespace nobody can send SIGKILL to a container's
// init (pid_namespaces(7)), and the kernel's want of memory is told apart; an end that nobody saw, of the host or of the monitor, and a
// start that failed, say so themselves. What was stopped by a command is in the wishes.
func lost(x *process.Exit) string {
	switch {
	case x.Error != "":
		return x.Error
	case x.Signal == int(unix.SIGKILL) && !x.OOM:
		return "it was killed, and not by a command"
	}
	return ""
}

// addNetworkProblem says whether c lives in a network namespace that its owner has left.
func (h *hostView) addNetworkProblem(c *container, s *plan.ContainerState) {
	if host, ok := strings.CutPrefix(c.spec.NetworkMode, "service:"); ok {
		if owner := h.networkOwner(c.project, host); owner != nil && leftBehindBy(c, h.sandboxes[owner.ID]) {
			s.NetworkProblem, s.MustRestart = "the network namespace of "+owner.name+", which it lives in, was made anew", true
		}
	}
}

// networkOwner is the running container whose sandbox those of network_mode service:host live in; nil = none runs.
func (h *hostView) networkOwner(project, host string) *container {
	for range h.containers { // no chain is longer
		i := slices.IndexFunc(h.containers, func(c *container) bool {
			return c.project == project && c.service == host && !c.oneOff && c.alive()
		})
		if i < 0 {
			return nil
		}
		next, ok := strings.CutPrefix(h.containers[i].spec.NetworkMode, "service:")
		if !ok {
			return h.containers[i]
		}
		host = next
	}
	return nil
}

// leftBehindBy says whether c, which shares box, lives in another network namespace: box was taken down and made anew while c ran on. Without
// an answer from the host it says no.
func leftBehindBy(c *container, box network.Sandbox) bool {
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
