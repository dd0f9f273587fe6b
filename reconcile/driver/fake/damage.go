package fake

import (
	"context"

	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
)

// The methods of this file are other hands on the host: they damage what is there, and whoever watches is told.

// DamageNetwork gives network id a problem, which Networks.Create mends.
func (h *Host) DamageNetwork(id, problem string) {
	h.mu.Lock()
	if s, ok := h.networks[id]; ok {
		s.Healthy, s.Problem = false, problem
		h.networks[id] = s
	}
	h.mu.Unlock()
	h.hints.networks.Give()
}

// DamageSandbox gives the sandbox of container id a problem, which Networks.Mend and Setup repair.
func (h *Host) DamageSandbox(id, problem string) {
	h.mu.Lock()
	if s, ok := h.sandboxes[id]; ok {
		s.Healthy, s.Problem = false, problem
		h.sandboxes[id] = s
	}
	h.mu.Unlock()
	h.hints.networks.Give()
}

// DamageVolume gives volume id a problem ("its directory is gone"), which Volumes.Create mends.
func (h *Host) DamageVolume(id, problem string) {
	h.mu.Lock()
	if s, ok := h.volumes[id]; ok {
		s.Problem = problem
		h.volumes[id] = s
	}
	h.mu.Unlock()
	h.hints.volumes.Give()
}

// DamageContainer gives the running container id a problem. lasting says that Containers.Mend cannot help and a restart does.
func (h *Host) DamageContainer(id, problem string, lasting bool) {
	h.mu.Lock()
	if x := h.containers[id]; x != nil && x.status == runtime.Running {
		x.problem, x.lasting = problem, lasting
	}
	h.mu.Unlock()
	h.hints.containers.Give()
}

// FillLog makes the log of the running container id one that cannot be written, for the reason why; "" = it can again.
func (h *Host) FillLog(id, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if x := h.containers[id]; x != nil && x.status == runtime.Running {
		x.logging = why
		(*containers)(h).tell(runtime.Event{ID: id, Kind: runtime.EventLog, Detail: why})
	}
}

// RemoveSandbox, RemoveNetwork, RemoveVolume and RemoveContainer take a thing away, records and all. A container that runs is killed.
func (h *Host) RemoveSandbox(id string) {
	h.mu.Lock()
	delete(h.sandboxes, id)
	h.mu.Unlock()
	h.hints.networks.Give()
}

func (h *Host) RemoveNetwork(id string) {
	h.mu.Lock()
	delete(h.networks, id)
	h.mu.Unlock()
	h.hints.networks.Give()
}

func (h *Host) RemoveVolume(id string) {
	h.mu.Lock()
	delete(h.volumes, id)
	h.mu.Unlock()
	h.hints.volumes.Give()
}

func (h *Host) RemoveContainer(id string) {
	h.mu.Lock()
	if x := h.containers[id]; x != nil {
		(*containers)(h).end(x, process.Exit{Code: 137, Signal: 9})
		delete(h.containers, id)
	}
	h.mu.Unlock()
	h.hints.containers.Give()
}

func (n *networks) Mend(ctx context.Context, c network.SandboxConfig, nsPath string) (box network.Sandbox, err error) {
	err = n.host().do(ctx, "Networks.Mend", func() error {
		for _, e := range c.Endpoints {
			if s, ok := n.networks[e.Network]; !ok {
				return notFound("network %s does not exist", e.Network)
			} else if !s.Healthy {
				return conflict("network %s is damaged: %s", e.Network, s.Problem)
			}
		}
		have, ok := n.sandboxes[c.ContainerID]
		if !ok {
			return notFound("container %.12s has no sandbox", c.ContainerID)
		}
		box = have
		box.Healthy, box.Problem = true, ""
		n.sandboxes[c.ContainerID] = box
		return nil
	})
	if err == nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		box = n.sandboxes[c.ContainerID] // with what others have done to it meanwhile
	}
	return box, err
}

func (n *networks) Watch(ctx context.Context) (<-chan struct{}, error) {
	return n.hints.networks.Subscribe(ctx), nil
}

func (v *volumes) Watch(ctx context.Context) (<-chan struct{}, error) {
	return v.hints.volumes.Subscribe(ctx), nil
}

func (c *containers) Watch(ctx context.Context) (<-chan struct{}, error) {
	return c.hints.containers.Subscribe(ctx), nil
}

func (c *containers) Mend(ctx context.Context, id string) (s runtime.State, err error) {
	err = c.host().do(ctx, "Containers.Mend", func() error {
		x, err := c.find(id)
		if err != nil {
			return err
		}
		if !x.lasting {
			x.problem = ""
		}
		s = x.state()
		return nil
	})
	return s, err
}
