package containers

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/single"
)

// setMounts takes binds, mounts, tmpfs and volumes.
func setMounts(want *single.Want, volumes map[string]struct{}, h *container.HostConfig) error {
	s := &want.Spec
	want.Traits.Binds = h.Binds
	for _, text := range h.Binds {
		m, err := bind(text)
		if err != nil {
			return err
		}
		s.Mounts = append(s.Mounts, m)
	}
	for _, m := range h.Mounts {
		out, err := oneMount(&m)
		if err != nil {
			return err
		}
		s.Mounts = append(s.Mounts, out)
	}
	for _, target := range slices.Sorted(maps.Keys(h.Tmpfs)) {
		m, err := tmpfs(target, h.Tmpfs[target])
		if err != nil {
			return err
		}
		s.Tmpfs = append(s.Tmpfs, m)
	}
	taken := map[string]bool{}
	for _, m := range slices.Concat(s.Mounts, s.Tmpfs) {
		if taken[m.Target] {
			return invalid("Duplicate mount point: %s", m.Target) //nolint:staticcheck // docker's sentence
		}
		taken[m.Target] = true
	}
	for _, target := range slices.Sorted(maps.Keys(volumes)) {
		clean, err := absolute(target)
		if err != nil {
			return err
		}
		if !taken[clean] { // what is mounted there wins over a volume without a name
			s.Mounts = append(s.Mounts, plan.Mount{Type: "volume", Target: clean})
		}
	}
	for _, from := range h.VolumesFrom {
		s.VolumesFrom = append(s.VolumesFrom, "container:"+from)
	}
	return nil
}

func absolute(target string) (string, error) {
	if !path.IsAbs(target) {
		return "", invalid("invalid mount path: '%s' mount path must be absolute", target)
	}
	target = path.Clean(target)
	if target == "/" {
		return "", invalid("invalid specification: destination can't be '/'")
	}
	return target, nil
}

// bind reads SOURCE:TARGET[:MODE], where SOURCE is a path of the host or the name of a volume.
func bind(text string) (plan.Mount, error) {
	part := strings.Split(text, ":")
	m := plan.Mount{Type: "volume"}
	mode := ""
	switch len(part) {
	case 1: // a volume without a name
		m.Target = part[0]
	case 2:
		m.Source, m.Target = part[0], part[1]
	case 3:
		m.Source, m.Target, mode = part[0], part[1], part[2]
	default:
		return m, invalid("invalid volume specification: '%s'", text)
	}
	if len(part) > 1 && m.Source == "" {
		return m, invalid("invalid volume specification: '%s'", text)
	}
	var err error
	if m.Target, err = absolute(m.Target); err != nil {
		return m, err
	}
	switch {
	case path.IsAbs(m.Source):
		m.Type, m.CreateHostPath = "bind", true
	case strings.Contains(m.Source, "/"):
		return m, invalid("invalid volume specification: '%s': %q is neither an absolute path nor the name of a volume", text, m.Source)
	}
	if unknown := m.SetOptions(mode); unknown != "" {
		return m, invalid("invalid mode: %s, of volume '%s'", unknown, text)
	}
	return m, nil
}

// oneMount takes an element of HostConfig.Mounts.
func oneMount(m *mount.Mount) (plan.Mount, error) {
	out := plan.Mount{Type: string(m.Type), Source: m.Source, ReadOnly: m.ReadOnly}
	for _, v := range []any{m, m.BindOptions, m.VolumeOptions, m.ImageOptions, m.TmpfsOptions} {
		if err := refuse("HostConfig.Mounts.", v); err != nil {
			return out, err
		}
	}
	var err error
	if out.Target, err = absolute(m.Target); err != nil {
		return out, err
	}
	var belongs mount.Type // the options that there are
	switch m.Type {
	case mount.TypeBind:
		if !path.IsAbs(m.Source) {
			return out, invalid("invalid mount config for type \"bind\": invalid mount path: '%s' mount path must be absolute", m.Source)
		}
		if o := m.BindOptions; o != nil {
			out.Propagation, out.CreateHostPath = string(o.Propagation), o.CreateMountpoint
			switch {
			case o.NonRecursive:
				out.Recursive = "disabled"
			case o.ReadOnlyNonRecursive:
				out.Recursive = "writable"
			case o.ReadOnlyForceRecursive:
				out.Recursive = "readonly"
			}
		}
	case mount.TypeVolume:
		if o := m.VolumeOptions; o != nil {
			out.NoCopy, out.Subpath, out.Labels = o.NoCopy, o.Subpath, o.Labels
			if d := o.DriverConfig; d != nil && (d.Name != "" && d.Name != "local" || len(d.Options) > 0) {
				return out, cannot("HostConfig.Mounts.VolumeOptions.DriverConfig: make the volume %q by POST /volumes/create first, and mount it by its name", m.Source)
			}
		}
	case mount.TypeTmpfs:
		out.Source = ""
		if m.Source != "" {
			return out, invalid("invalid mount config for type \"tmpfs\": field Source must not be specified")
		}
		if o := m.TmpfsOptions; o != nil {
			out.Size, out.Mode = o.SizeBytes, uint32(o.Mode)
			for _, words := range o.Options {
				out.Options = append(out.Options, strings.Join(words, "="))
			}
		}
	case mount.TypeImage:
		out.ReadOnly = false // it is in any case
		if o := m.ImageOptions; o != nil {
			out.Subpath = o.Subpath
		}
	default:
		return out, cannot("HostConfig.Mounts: a mount of type %q; stack has bind, volume, tmpfs and image", m.Type)
	}
	for kind, there := range map[mount.Type]bool{mount.TypeBind: m.BindOptions != nil, mount.TypeVolume: m.VolumeOptions != nil, mount.TypeTmpfs: m.TmpfsOptions != nil, mount.TypeImage: m.ImageOptions != nil} {
		if there && kind != m.Type {
			belongs = kind
		}
	}
	if belongs != "" {
		return out, invalid("invalid mount config for type %q: options of type %q were given", m.Type, belongs)
	}
	return out, nil
}

// tmpfs takes an entry of HostConfig.Tmpfs: options as those of mount(8).
func tmpfs(target, options string) (plan.Mount, error) {
	m := plan.Mount{Type: "tmpfs"}
	var err error
	if m.Target, err = absolute(target); err != nil {
		return m, err
	}
	for _, word := range strings.FieldsFunc(options, func(r rune) bool { return r == ',' }) {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "ro":
			m.ReadOnly = true
		case "rw":
		case "mode":
			n, err := strconv.ParseUint(value, 8, 12)
			if err != nil {
				return m, invalid("invalid tmpfs option %q", word)
			}
			m.Mode = uint32(n)
		case "size":
			if m.Size, err = size(value); err != nil {
				return m, invalid("invalid tmpfs option %q", word)
			}
		default:
			m.Options = append(m.Options, word)
		}
	}
	return m, nil
}

// size reads a number with k, m, g or nothing behind it, as tmpfs(5) has it.
func size(text string) (int64, error) {
	shift := map[byte]uint{'k': 10, 'm': 20, 'g': 30}[strings.ToLower(cmp.Or(text, "x"))[max(len(text), 1)-1]]
	if shift > 0 {
		text = text[:len(text)-1]
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > 1<<62>>shift {
		return 0, invalid("%q is no size", text)
	}
	return n << shift, nil
}
