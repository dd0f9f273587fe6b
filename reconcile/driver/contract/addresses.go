package contract

import (
	"net/netip"
	"strings"

	"github.com/stackrun/stack/network"
)

// keepAddresses keeps the address that would be next from whoever asks for none.
func keepAddresses(b *bench) {
	ctx := b.Context()
	_, err := b.Networks.Create(ctx, network.Config{ID: "a", IPv4: true, Driver: "bridge"})
	b.must(err)
	setup := func(name string, asked netip.Addr) netip.Addr {
		id := strings.Repeat(name, 64)
		box, err := b.Networks.Setup(ctx, network.SandboxConfig{ContainerID: id, Endpoints: []network.EndpointConfig{{Network: "a", ContainerID: id, Names: []string{name}, IPv4: asked}}})
		b.must(err)
		return box.Endpoints[0].Addr4.Addr()
	}
	kept := setup("c", netip.Addr{}).Next()
	for range 2 {
		b.Networks.KeepAddresses("shop", map[string][]netip.Addr{"a": {kept}, "nowhere": {kept}})
	}
	if got := setup("d", netip.Addr{}); got == kept {
		b.Errorf("%s is kept and was given out", got)
	}
	if got := setup("e", kept); got != kept {
		b.Errorf("%s was asked for, %s given", kept, got)
	}
	for _, name := range []string{"c", "d", "e"} {
		b.must(b.Networks.Teardown(ctx, strings.Repeat(name, 64)))
	}
	b.must(b.Networks.Delete(ctx, "a"))
}
