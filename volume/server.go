package volume

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/stackrun/stack/runtime/mount"
)

// Prepare makes mounts ready for a start: the sources of binds that may be made and have gone are made again, and the servers named in them are given the addresses that they
// have now, in a list of its own.
func (d *Driver) Prepare(ctx context.Context, mounts []mount.Mount) ([]mount.Mount, error) {
	for _, m := range mounts {
		if err := makeSource(m); err != nil {
			return nil, err
		}
	}
	return locate(ctx, mounts, net.DefaultResolver.LookupNetIP)
}

func locate(ctx context.Context, mounts []mount.Mount, lookup func(ctx context.Context, network, name string) ([]netip.Addr, error)) ([]mount.Mount, error) {
	out := slices.Clone(mounts)
	for i := range out {
		m := &out[i]
		if m.Server == "" {
			continue
		}
		found, err := lookup(ctx, "ip", m.Server)
		if err == nil && len(found) == 0 {
			err = errors.New("it has no address")
		}
		if err != nil {
			return nil, fmt.Errorf("cannot find the server %s of the volume at %s: %w", m.Server, m.Target, err)
		}
		addr := found[0]
		for _, a := range found { // as docker: the first of IPv4, if there is one
			if a = a.Unmap(); a.Is4() {
				addr = a
				break
			}
		}
		m.Data = slices.Clone(m.Data)
		for j, word := range m.Data {
			if strings.HasPrefix(word, "addr=") {
				m.Data[j] = "addr=" + addr.String()
			}
		}
	}
	return out, nil
}
