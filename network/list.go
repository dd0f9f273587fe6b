package network

import (
	"cmp"
	"context"
	"slices"

	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/sight"
)

// List returns the networks, by name, as the kernel has them.
func (d *Driver) List(ctx context.Context) ([]State, error) {
	v := d.sight.Look()
	if v.Err != nil {
		return nil, v.Err
	}
	var out []State
	for _, n := range d.networks.Records() {
		if !n.Deleting {
			out = append(out, d.networkState(n, v))
		}
	}
	slices.SortFunc(out, func(a, b State) int { return cmp.Compare(a.Config.ID, b.Config.ID) })
	return out, nil
}

func (d *Driver) networkState(n record.Network, v sight.Host) State {
	st := State{Config: n.Config, Link: n.Link, Pools: n.Pools, CreatedAt: n.Created, Endpoints: d.book.On(n.Config.ID)}
	slices.SortFunc(st.Endpoints, func(a, b Endpoint) int { return cmp.Compare(a.ContainerID, b.ContainerID) })
	if v.Err != nil {
		st.Problem = v.Err.Error()
	} else {
		st.Problem = d.media.Of(n.Config).Problem(n, v)
	}
	st.Healthy = st.Problem == ""
	if _, ok := v.Links[n.Link]; !ok {
		st.Link = ""
	}
	return st
}

// Watch delivers a coalesced hint when something of the networks may have been changed by other hands, and by the Driver too: the
// receiver looks at List and Sandboxes. The channel is closed when ctx ends. ErrNotSupported when this process may not hear of
// containers, or the user has no inotify instance left; List and Sandboxes say what is all the same.
func (d *Driver) Watch(ctx context.Context) (<-chan struct{}, error) { return d.alarm.Watch(ctx) }
