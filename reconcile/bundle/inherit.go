package bundle

import (
	"slices"
	"strings"

	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/mount"
)

// Lends are the mounts of a container that another has with volumes_from: all that users or the image have asked for, but for what is in
// memory, which is each container's own. readOnly takes the right to write from them.
func Lends(cfg *runtime.Config, readOnly bool) []mount.Mount {
	var out []mount.Mount
	for _, m := range cfg.Mounts {
		if m.Type == "tmpfs" || m.File != nil && m.File.Writable {
			continue
		}
		m.CopyUp = false // it is whose it was first to say what is in a new volume
		if readOnly && m.File == nil && !slices.Contains(m.Options, "ro") {
			m.Options = append(slices.DeleteFunc(slices.Clone(m.Options), func(o string) bool { return o == "rw" }), "ro")
		}
		out = append(out, m)
	}
	return out
}

// inherit puts mounts in the place of those that cfg had from an earlier start.
func inherit(cfg *runtime.Config, mounts []mount.Mount) {
	if old := cfg.Facts[FactInherited]; old != "" {
		gone := strings.Split(old, "\n")
		cfg.Mounts = slices.DeleteFunc(cfg.Mounts, func(m mount.Mount) bool { return slices.Contains(gone, m.Target) })
		delete(cfg.Facts, FactInherited)
	}
	var targets []string
	for _, m := range mounts {
		cfg.Mounts = append(slices.DeleteFunc(cfg.Mounts, func(have mount.Mount) bool { return have.Target == m.Target }), m)
		targets = append(targets, m.Target)
	}
	if len(targets) == 0 {
		return
	}
	slices.Sort(targets)
	cfg.Facts[FactInherited] = strings.Join(targets, "\n")
	slices.SortStableFunc(cfg.Mounts, func(a, b mount.Mount) int { return strings.Compare(a.Target, b.Target) })
}
