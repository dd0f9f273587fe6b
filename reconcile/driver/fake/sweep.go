package fake

import "context"

// Strew leaves garbage in a room ("images", "networks", "volumes", "containers"), which Sweep finds.
func (h *Host) Strew(room string, names ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.garbage == nil {
		h.garbage = map[string][]string{}
	}
	h.garbage[room] = append(h.garbage[room], names...)
}

func (h *Host) sweep(room string, remove bool) ([]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	names := h.garbage[room]
	if remove {
		delete(h.garbage, room)
	}
	return names, nil
}

func (i *images) Sweep(_ context.Context, remove bool) ([]string, error) {
	return i.host().sweep("images", remove)
}

func (n *networks) Sweep(_ context.Context, remove bool) ([]string, error) {
	return n.host().sweep("networks", remove)
}

func (v *volumes) Sweep(_ context.Context, remove bool) ([]string, error) {
	return v.host().sweep("volumes", remove)
}

func (c *containers) Sweep(_ context.Context, remove bool) ([]string, error) {
	return c.host().sweep("containers", remove)
}
