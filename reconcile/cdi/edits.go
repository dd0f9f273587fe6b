package cdi

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
)

// Edits are what a container gets with its devices.
type Edits struct {
	Env    []string // NAME=VALUE; they win over the container's own
	Nodes  []Node
	Mounts []Bind
	Groups []uint32
}

// Node is a device node. Nil numbers, mode and owner are those of HostPath.
type Node struct {
	Path, HostPath string
	Type           string // b, c, u, p; "" = HostPath's
	Major, Minor   *int64
	Mode           *uint32
	UID, GID       *uint32
	Access         string // of rwm
}

// Bind is a file or directory of the host.
type Bind struct {
	Source, Target string
	Options        []string
}

// edits joins those of devices by their full names. What a file says of all of its devices comes first, and once.
func (r *Registry) edits(names []string) (Edits, error) {
	var out Edits
	var seen []*file
	for _, name := range names {
		kind, device, _ := strings.Cut(name, "=")
		o, ok := r.devices[kind][device]
		if !ok {
			return Edits{}, r.missing("device " + name)
		}
		if o.rival != "" {
			return Edits{}, errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot use device %s: %s and %s both describe it", name, o.rival, o.file.path))
		}
		parts := []*edits{&o.device.Edits}
		if !slices.Contains(seen, o.file) {
			seen = append(seen, o.file)
			parts = []*edits{&o.file.Edits, &o.device.Edits}
		}
		for _, e := range parts {
			if err := out.add(e); err != nil {
				return Edits{}, fmt.Errorf("cannot use device %s, which %s describes: %w", name, o.file.path, err)
			}
		}
	}
	return out, nil
}

func (out *Edits) add(e *edits) error {
	if len(e.Hooks) > 0 {
		return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("it wants programs of the host to be run for each container (hooks: %s), which is not done; describe it without, for NVIDIA by nvidia-ctk cdi generate --disable-hook=all", e.Hooks[0].Path))
	}
	if len(e.NetDevices) > 0 || e.IntelRdt != nil {
		return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("it has netDevices or intelRdt, which are not supported"))
	}
	out.Env = append(out.Env, e.Env...)
	out.Groups = append(out.Groups, e.AdditionalGIDs...)
	for _, n := range e.DeviceNodes {
		if !path.IsAbs(n.Path) {
			return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("the path of a device node is %q, expected an absolute one", n.Path))
		}
		out.Nodes = append(out.Nodes, Node{Path: n.Path, HostPath: cmp.Or(n.HostPath, n.Path), Type: n.Type, Major: n.Major, Minor: n.Minor, Mode: n.FileMode,
			UID: n.UID, GID: n.GID, Access: cmp.Or(n.Permissions, "rwm")})
	}
	for _, m := range e.Mounts {
		if m.Type != "" && m.Type != "bind" {
			return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("it has a mount of type %q, only bind is supported", m.Type))
		}
		if !path.IsAbs(m.HostPath) || !path.IsAbs(m.ContainerPath) {
			return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("it mounts %q at %q, expected absolute paths", m.HostPath, m.ContainerPath))
		}
		out.Mounts = append(out.Mounts, Bind{Source: m.HostPath, Target: path.Clean(m.ContainerPath), Options: m.Options})
	}
	return nil
}
