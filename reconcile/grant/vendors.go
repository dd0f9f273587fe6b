package grant

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/cdi"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime/mount"
)

// Vendors are what a container gets with the devices that it requests.
type Vendors struct {
	Env     []string
	Groups  []string
	Devices []bundle.Device
	Mounts  []mount.Mount
}

// Requested finds the devices of s in the vendors' files, as those are now.
func Requested(s *plan.Spec) (out Vendors, _ error) {
	if len(s.DeviceRequests) == 0 {
		return out, nil
	}
	registry := cdi.Load(cdi.Dirs...)
	for _, q := range s.DeviceRequests {
		e, err := registry.Find(cdi.Request{Driver: q.Driver, Count: q.Count, IDs: q.IDs, Capabilities: q.Capabilities})
		if err != nil {
			return out, err
		}
		out.Env = append(out.Env, e.Env...)
		for _, g := range e.Groups {
			out.Groups = append(out.Groups, strconv.FormatUint(uint64(g), 10))
		}
		for _, n := range e.Nodes {
			d, err := vendorNode(n)
			if err != nil {
				return out, fmt.Errorf("cannot use device %s: %w", n.HostPath, err)
			}
			if !slices.ContainsFunc(out.Devices, func(have bundle.Device) bool { return have.Node.Path == d.Node.Path }) {
				out.Devices = append(out.Devices, d)
			}
		}
		for _, m := range e.Mounts {
			if _, err := os.Stat(m.Source); err != nil {
				return out, err
			}
			if !slices.ContainsFunc(out.Mounts, func(have mount.Mount) bool { return have.Target == m.Target }) {
				out.Mounts = append(out.Mounts, mount.Mount{Type: "bind", Source: m.Source, Target: m.Target, Options: bindWords(m.Options)})
			}
		}
	}
	return out, nil
}

// bindWords are the options of a vendor's mount, which need not say that it is a bind.
func bindWords(options []string) []string {
	if slices.Contains(options, "bind") || slices.Contains(options, "rbind") {
		return slices.Clone(options)
	}
	return append([]string{"rbind"}, options...)
}

// vendorNode is a node as its vendor describes it, with what the host has where that is silent.
func vendorNode(n cdi.Node) (bundle.Device, error) {
	d, err := device(n.HostPath, n.Path, n.Access)
	if errors.Is(err, fs.ErrNotExist) && n.Type != "" && n.Major != nil && n.Minor != nil {
		// The numbers are enough to make one.
		d, err = bundle.Device{Access: n.Access, Node: specs.LinuxDevice{Path: n.Path}}, nil
	}
	if err != nil {
		return d, err
	}
	if n.Type != "" {
		d.Node.Type = n.Type
	}
	if n.Major != nil && n.Minor != nil {
		d.Node.Major, d.Node.Minor = *n.Major, *n.Minor
	}
	if n.Mode != nil {
		d.Node.FileMode = new(os.FileMode(*n.Mode & 0o777))
	}
	if n.UID != nil {
		d.Node.UID = n.UID
	}
	if n.GID != nil {
		d.Node.GID = n.GID
	}
	return d, nil
}
