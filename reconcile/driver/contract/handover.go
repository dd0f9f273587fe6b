package contract

import (
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/network"
)

// handover: the successor is set up beside its predecessor, has its port after the handover, and keeps it when that one goes.
func handover(b *bench) {
	ctx := b.Context()
	_, err := b.Networks.Create(ctx, network.Config{ID: "net", IPv4: true, Driver: "bridge"})
	b.must(err)
	port := network.Port{HostPort: 18080, ContainerPort: 80, Protocol: "tcp"}
	old, new := strings.Repeat("a", 64), strings.Repeat("b", 64)
	setup := func(id, succeeds string) network.Sandbox {
		box, err := b.Networks.Setup(ctx, network.SandboxConfig{ContainerID: id, Succeeds: succeeds, Ports: []network.Port{port},
			Endpoints: []network.EndpointConfig{{Network: "net", ContainerID: id, ShortID: objectid.Short(id), Names: []string{"web"}}}})
		b.must(err)
		return box
	}
	setup(old, "")
	if box := setup(new, old); !box.Waiting || len(box.Ports) != 0 {
		b.Errorf("the successor at first: %+v", box)
	}
	for range 2 {
		b.must(b.Networks.Handover(ctx, old, new))
	}
	b.reopen()
	state := func(id string) network.Sandbox {
		boxes, err := b.Networks.Sandboxes(ctx)
		b.must(err)
		return boxes[slices.IndexFunc(boxes, func(s network.Sandbox) bool { return s.ContainerID == id })]
	}
	if o, n := state(old), state(new); !o.Relieved || len(o.Ports) != 0 || n.Waiting || len(n.Ports) != 1 || n.Ports[0].HostPort != 18080 {
		b.Errorf("after the handover: %+v and %+v", o, n)
	}
	// And back, as a rollback does.
	b.must(b.Networks.Handover(ctx, new, old))
	if o, n := state(old), state(new); o.Relieved || len(o.Ports) != 1 || !n.Relieved {
		b.Errorf("after the way back: %+v and %+v", o, n)
	}
	b.must(b.Networks.Handover(ctx, old, new))
	b.must(b.Networks.Teardown(ctx, old))
	b.is("CheckPorts of one that was handed over", b.Networks.CheckPorts(ctx, "", []network.Port{port}), errdefs.ErrConflict)
	b.must(b.Networks.Handover(ctx, old, new)) // from somebody who is gone
	b.must(b.Networks.Teardown(ctx, new))
	b.is("Handover to nobody", b.Networks.Handover(ctx, old, new), errdefs.ErrNotFound)
	b.must(b.Networks.CheckPorts(ctx, "", []network.Port{port}))
	b.must(b.Networks.Delete(ctx, "net"))
}
