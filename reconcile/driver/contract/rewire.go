package contract

import (
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/network"
)

// rewire moves a running container's sandbox from one network to another by way of both.
func rewire(b *bench) {
	ctx := b.Context()
	for _, name := range []string{"a", "b"} {
		_, err := b.Networks.Create(ctx, network.Config{ID: name, IPv4: true, Driver: "bridge"})
		b.must(err)
	}
	id := strings.Repeat("c", 64)
	on := func(networks ...string) network.SandboxConfig {
		c := network.SandboxConfig{ContainerID: id}
		for _, n := range networks {
			c.Endpoints = append(c.Endpoints, network.EndpointConfig{Network: n, ContainerID: id, ShortID: objectid.Short(id), Names: []string{"web"}})
		}
		return c
	}
	_, err := b.Networks.Rewire(ctx, on("a"))
	b.is("Rewire of nobody", err, errdefs.ErrNotFound)
	first, err := b.Networks.Setup(ctx, on("a"))
	b.must(err)
	var both network.Sandbox
	for range 2 {
		both, err = b.Networks.Rewire(ctx, on("a", "b"))
		b.must(err)
		if len(both.Endpoints) != 2 || both.Path != first.Path || both.Endpoints[0].Addr4 != first.Endpoints[0].Addr4 || !both.Endpoints[1].Addr4.IsValid() {
			b.Errorf("Rewire gives %+v, it was %+v", both, first)
		}
	}
	_, err = b.Networks.Rewire(ctx, on("a", "nowhere"))
	b.is("Rewire to no network", err, errdefs.ErrNotFound)
	b.is("Delete of a network in use", b.Networks.Delete(ctx, "b"), errdefs.ErrConflict)
	second, err := b.Networks.Rewire(ctx, on("b"))
	b.must(err)
	if len(second.Endpoints) != 1 || second.Endpoints[0].Addr4 != both.Endpoints[1].Addr4 {
		b.Errorf("Rewire gives %+v, it was %+v", second, both)
	}
	boxes, err := b.Networks.Sandboxes(ctx)
	b.must(err)
	if len(boxes) != 1 || !boxes[0].Healthy || len(boxes[0].Endpoints) != 1 {
		b.Errorf("%+v", boxes)
	}
	b.must(b.Networks.Delete(ctx, "a"))
	b.must(b.Networks.Teardown(ctx, id))
	b.must(b.Networks.Delete(ctx, "b"))
}
