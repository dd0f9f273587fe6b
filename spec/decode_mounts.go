package spec

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/spec/tree"
	"github.com/stackrun/stack/spec/units"
)

var propagations = []string{"rprivate", "private", "rshared", "shared", "rslave", "slave"}

var mountFields = fields[Mount]{
	"type":        func(d *decoder, n *tree.Node, m *Mount) { m.Type = d.mountType(n) },
	"source":      func(d *decoder, n *tree.Node, m *Mount) { m.Source = d.str(n) },
	"target":      func(d *decoder, n *tree.Node, m *Mount) { m.Target = d.str(n) },
	"read_only":   func(d *decoder, n *tree.Node, m *Mount) { m.ReadOnly = d.boolean(n) },
	"bind":        func(d *decoder, n *tree.Node, m *Mount) { object(d, n, bindFields, m) },
	"volume":      func(d *decoder, n *tree.Node, m *Mount) { object(d, n, volumeUseFields, m) },
	"tmpfs":       func(d *decoder, n *tree.Node, m *Mount) { object(d, n, tmpfsFields, m) },
	"image":       func(d *decoder, n *tree.Node, m *Mount) { object(d, n, imageUseFields, m) },
	"consistency": func(d *decoder, n *tree.Node, m *Mount) { m.Consistency = d.str(n) },
}

var bindFields = fields[Mount]{
	"selinux":          func(d *decoder, n *tree.Node, m *Mount) { m.SELinux = d.oneOf(n, "z", "Z") },
	"propagation":      func(d *decoder, n *tree.Node, m *Mount) { m.Propagation = d.anyOf(n, propagations...) },
	"create_host_path": func(d *decoder, n *tree.Node, m *Mount) { m.CreateHostPath = d.boolean(n) },
	"x-idmap":          func(d *decoder, n *tree.Node, m *Mount) { m.IDMap = d.oneOf(n, "match-user") },
	"recursive": func(d *decoder, n *tree.Node, m *Mount) {
		m.Recursive = d.oneOf(n, "enabled", "disabled", "writable", "readonly")
	},
}

var imageUseFields = fields[Mount]{
	"subpath": func(d *decoder, n *tree.Node, m *Mount) { m.Subpath = d.subpath(n, "image") },
}

var volumeUseFields = fields[Mount]{
	"labels":  func(d *decoder, n *tree.Node, m *Mount) { m.Labels = d.stringMap(n) },
	"nocopy":  func(d *decoder, n *tree.Node, m *Mount) { m.NoCopy = d.boolean(n) },
	"subpath": func(d *decoder, n *tree.Node, m *Mount) { m.Subpath = d.subpath(n, "volume") },
}

var tmpfsFields = fields[Mount]{
	"size": func(d *decoder, n *tree.Node, m *Mount) { m.TmpfsSize = d.bytes(n) },
	"mode": func(d *decoder, n *tree.Node, m *Mount) { m.TmpfsMode = d.mode(n) },
}

func (d *decoder) mountType(n *tree.Node) string {
	s := d.str(n)
	switch s {
	case "npipe", "cluster":
		d.refuse(CodeRefused, n, fmt.Sprintf("%s: mounts of type %s are not made", n.Path, s), "use bind, volume, tmpfs or image")
		return s
	}
	return d.oneOf(n, "bind", "volume", "tmpfs", "image")
}

// subpath is a path below the root of what.
func (d *decoder) subpath(n *tree.Node, what string) string {
	s := d.str(n)
	if path.IsAbs(s) || slices.Contains(strings.Split(s, "/"), "..") {
		d.unfit(n, fmt.Sprintf("%q leaves the %s", s, what), "write a path relative to the "+what+"'s root")
	}
	return s
}

// mounts decodes volumes. Of entries with the same target the last one wins and
// takes the place of the first, as in docker compose.
func (d *decoder) mounts(n *tree.Node) []Mount {
	var out keyedList[Mount]
	for _, it := range d.items(n) {
		if m, ok := d.mount(it); ok {
			d.source(n.Path+"["+itoa(out.put(m.Target, m))+"]", it)
		}
	}
	return out.all
}

func (d *decoder) mount(n *tree.Node) (Mount, bool) {
	m := Mount{CreateHostPath: true}
	if n.Kind == tree.Scalar {
		return d.shortMount(n)
	}
	before := d.Errors()
	if !object(d, n, mountFields, &m) {
		return m, false
	}
	if n.Get("type").IsNull() {
		d.err(CodeMissing, n, n.Path+" has no type", "write type: bind, volume, tmpfs or image")
	}
	switch {
	case m.Target == "":
		d.err(CodeMissing, n, n.Path+" has no target", "write target: the path in the container")
	case m.Type == "bind" && n.Get("source").IsNull():
		d.err(CodeMissing, n, n.Path+" has no source", "write source: the path on the host")
	case m.Type == "bind" && m.Source == "":
		d.limited(diag.Warning, CodeMissing, n.Get("source"), n.Path+": an empty source is the project's directory", "write source: the path on the host")
	case m.Type == "image" && m.Source == "":
		d.refuse(CodeMissing, n, n.Path+" has no source", "write source: the image to mount")
	case m.Type == "tmpfs" && m.Source != "":
		d.refuse(CodeConflict, n, n.Path+": a tmpfs has no source", "remove source")
	default:
		d.mountTarget(n, &m)
	}
	if d.Errors() > before {
		return m, false
	}
	switch m.Type {
	case "bind":
		m.Source = d.path(m.Source)
	case "image":
		d.imageMount(n, &m)
	}
	d.mountDefaults(&m)
	return m, true
}

// imageMount checks what the file says of a mount of an image.
func (d *decoder) imageMount(n *tree.Node, m *Mount) {
	if source := n.Get("source"); source != nil {
		d.image(source)
	}
	if ro := n.Get("read_only"); ro != nil && !m.ReadOnly {
		d.note(ro, ro.Path+": an image is always mounted read-only", "use a volume for what is written to")
	}
}

func (d *decoder) mountDefaults(m *Mount) {
	if m.Type != "bind" {
		m.CreateHostPath = false
		return
	}
	if m.Propagation == "" {
		m.Propagation = "rprivate"
	}
	if m.Recursive == "" {
		m.Recursive = "enabled"
	}
}

func (d *decoder) mountTarget(n *tree.Node, m *Mount) bool {
	if _, _, drive := cutDrive(m.Target); drive || strings.HasPrefix(m.Target, `\\`) {
		d.refuse(CodeRefused, n, fmt.Sprintf("%s: the target %q is a path of Windows", n.Path, m.Target), "write a path of Linux")
		return true
	}
	if !path.IsAbs(m.Target) {
		d.unfit(n, fmt.Sprintf("the target %q is not absolute", m.Target), "write the full path in the container")
		return d.in.Purpose != ToRun
	}
	m.Target = path.Clean(m.Target)
	if m.Target == "/" {
		d.unfit(n, "the target is the container's root", "mount below it")
		return d.in.Purpose != ToRun
	}
	return true
}

// shortMount reads [SOURCE:]TARGET[:OPTIONS].
func (d *decoder) shortMount(n *tree.Node) (Mount, bool) {
	m := Mount{Type: "volume"}
	text := d.str(n)
	if source, rest, ok := cutDrive(text); ok && rest != "" && (source[2] == '\\' || rest[0] == '/') { // v:/data:ro is of a volume
		return d.windowsMount(n, source, rest)
	}
	parts := strings.Split(text, ":")
	if target, options, ok := cutDrive(strings.Join(parts[1:], ":")); ok { // of a container of Windows
		parts = []string{parts[0], target}
		if options != "" {
			parts = append(parts, options)
		}
	}
	if len(text) <= 2 && d.in.Purpose == ToShow {
		m.Written = text // docker compose shows these without options
	}
	switch {
	case len(text) <= 2 && strings.Contains(text, ":"):
		// As in docker compose, so that "${FROM}:${TO}" can be shown where neither is set.
		d.unfit(n, fmt.Sprintf("%q is not [SOURCE:]TARGET[:OPTIONS]", text), "")
		m.Target = text
		return m, d.in.Purpose != ToRun
	case text == "" || slices.Contains(parts, "") || len(parts) > 3:
		if text != "" {
			d.bad(n, fmt.Sprintf("%q is not [SOURCE:]TARGET[:OPTIONS]", text), "")
		}
		return m, false
	case len(parts) == 1:
		m.Target = text
	default:
		m.Source, m.Target = parts[0], parts[1]
		if len(parts) == 3 {
			d.mountOptions(n, parts[2], &m)
		}
	}
	if isPath(m.Source) {
		m.Type, m.CreateHostPath = "bind", true
		m.Source = d.path(m.Source)
	}
	d.mountDefaults(&m)
	return m, d.mountTarget(n, &m)
}

// windowsMount is a mount of source, which files of people who work on Windows have: read and shown, and not made.
func (d *decoder) windowsMount(n *tree.Node, source, rest string) (Mount, bool) {
	d.refuse(CodeRefused, n, fmt.Sprintf("%s: the source %q is a path of Windows", n.Path, source), "write a path of this host")
	m := Mount{Type: "bind", Source: source, CreateHostPath: true}
	target, options, ok := cutDrive(rest)
	if !ok {
		target, options, _ = strings.Cut(rest, ":")
	}
	m.Target = target
	if options != "" {
		d.mountOptions(n, options, &m)
	}
	d.mountDefaults(&m)
	return m, d.mountTarget(n, &m)
}

// cutDrive cuts a path that begins with a drive of Windows off s, whose parts are apart by colons.
func cutDrive(s string) (path, rest string, ok bool) {
	if len(s) < 3 || s[1] != ':' || s[2] != '\\' && s[2] != '/' || s[0]|0x20 < 'a' || 'z' < s[0]|0x20 {
		return "", "", false
	}
	path, rest, _ = strings.Cut(s[2:], ":")
	return s[:2] + path, rest, true
}

func (d *decoder) mountOptions(n *tree.Node, list string, m *Mount) {
	for o := range strings.SplitSeq(list, ",") {
		switch {
		case o == "ro":
			m.ReadOnly = true
		case o == "z", o == "Z":
			m.SELinux = o
		case o == "rw", o == "cached", o == "delegated", o == "consistent":
		case o == "nocopy":
			m.NoCopy = true
		case slices.Contains(propagations, o):
			m.Propagation = o
		default:
			d.note(n, fmt.Sprintf("%s: option %q is not known", n.Path, o), "known are ro, rw, nocopy, z, Z and the propagation modes")
		}
	}
}

// tmpfs decodes the service's own tmpfs key: PATH[:OPTIONS]. An entry that is as an earlier one up to its first = takes the place
// of that, as in docker compose: a file that repeats what the one before it says is no mistake. Others of the same path are one.
func (d *decoder) tmpfs(n *tree.Node) []Mount {
	var out keyedList[Mount]
	begins := map[string]string{} // by target
	for _, it := range d.many(n) {
		target, options, _ := strings.Cut(d.str(it), ":")
		m := Mount{Type: "tmpfs", Target: target}
		if d.in.Purpose == ToShow {
			m.Written = it.Value
		}
		if target == "" || !d.mountTarget(it, &m) {
			continue
		}
		for o := range strings.SplitSeq(options, ",") {
			d.tmpfsOption(it, strings.TrimSpace(o), &m)
		}
		begin, _, _ := strings.Cut(it.Value, "=")
		if out.has(m.Target) && begins[m.Target] != begin {
			d.err(CodeDuplicate, it, fmt.Sprintf("%s: %s is there twice", n.Path, m.Target), "remove one")
			continue
		}
		begins[m.Target] = begin
		d.source(n.Path+"["+itoa(out.put(m.Target, m))+"]", it)
	}
	return out.all
}

func (d *decoder) tmpfsOption(n *tree.Node, o string, m *Mount) {
	key, value, _ := strings.Cut(o, "=")
	switch key {
	case "":
	case "ro":
		m.ReadOnly = true
	case "size":
		if strings.HasSuffix(value, "%") { // tmpfs(5): a share of the memory
			m.Options = append(m.Options, o)
			return
		}
		v, err := units.Bytes(value)
		if err != nil {
			d.bad(n, fmt.Sprintf("size %q: %v", value, err), "")
		}
		m.TmpfsSize = v
	case "mode":
		v, err := strconv.ParseUint(value, 8, 32)
		if err != nil || v > 0o7777 {
			d.bad(n, fmt.Sprintf("%q is not a file mode", value), "write it in octal, such as 1777")
		}
		m.TmpfsMode = uint32(v)
	default:
		m.Options = append(m.Options, o)
	}
}

var fileUseFields = fields[FileUse]{
	"source": func(d *decoder, n *tree.Node, u *FileUse) { u.Source = d.str(n) },
	"target": func(d *decoder, n *tree.Node, u *FileUse) { u.Target = d.str(n) },
	"uid":    func(d *decoder, n *tree.Node, u *FileUse) { u.UID = d.numericID(n) },
	"gid":    func(d *decoder, n *tree.Node, u *FileUse) { u.GID = d.numericID(n) },
	"mode": func(d *decoder, n *tree.Node, u *FileUse) {
		v := d.mode(n)
		u.Mode = &v
	},
}

func (d *decoder) numericID(n *tree.Node) string {
	s := d.str(n)
	if _, err := strconv.ParseUint(s, 10, 32); err != nil && s != "" {
		d.unfit(n, fmt.Sprintf("%q is not a number", s), "write the numeric id")
	}
	return s
}

// fileUses decodes configs or secrets of a service; dir is where relative targets are.
func (d *decoder) fileUses(n *tree.Node, dir string) []FileUse {
	var out keyedList[FileUse]
	for _, it := range d.items(n) {
		var u FileUse
		if it.Kind == tree.Mapping {
			object(d, it, fileUseFields, &u)
		} else {
			u.Source = d.str(it)
		}
		if u.Source == "" {
			d.err(CodeMissing, it, it.Path+" has no source", "")
			continue
		}
		u.Target = d.fileTarget(u, dir)
		// To show, a config without target has none; it is at the place of its name nevertheless.
		i := out.put(cmp.Or(u.Target, path.Join(dir, u.Source)), u)
		d.source(n.Path+"["+itoa(i)+"]", it)
	}
	return out.all
}

// fileTarget is where a config or secret is in the container. docker compose shows
// only what it decides itself when it reads the file: where a secret without target is.
func (d *decoder) fileTarget(u FileUse, dir string) string {
	if d.in.Purpose == ToShow && (u.Target != "" || dir == "/") {
		return u.Target
	}
	if u.Target == "" {
		u.Target = u.Source
	}
	if !path.IsAbs(u.Target) {
		u.Target = path.Join(dir, u.Target)
	}
	return path.Clean(u.Target)
}

var deviceFields = fields[Device]{
	"source":      func(d *decoder, n *tree.Node, v *Device) { v.Source = d.str(n) },
	"target":      func(d *decoder, n *tree.Node, v *Device) { v.Target = d.str(n) },
	"permissions": func(d *decoder, n *tree.Node, v *Device) { v.Permissions = d.str(n) },
}

func (d *decoder) devices(n *tree.Node) []Device {
	var out keyedList[Device]
	for _, it := range d.items(n) {
		var v Device
		if it.Kind == tree.Mapping {
			object(d, it, deviceFields, &v)
			d.needs(it, "source", "target")
		} else {
			parts := strings.Split(d.str(it), ":")
			v.Source = parts[0]
			switch {
			case len(parts) == 2 && !path.IsAbs(parts[1]):
				v.Permissions = parts[1]
			case len(parts) == 2:
				v.Target = parts[1]
			case len(parts) == 3:
				v.Target, v.Permissions = parts[1], parts[2]
			case len(parts) > 3:
				d.bad(it, fmt.Sprintf("%q is not SOURCE[:TARGET[:PERMISSIONS]]", it.Value), "")
			}
		}
		if !path.IsAbs(v.Source) {
			if !strings.Contains(v.Source, "=") {
				d.unfit(it, fmt.Sprintf("%q is neither the path of a device nor its CDI name, vendor.com/class=name", v.Source), "")
			}
		}
		if v.Target == "" {
			v.Target = v.Source
		}
		if v.Permissions == "" && (d.in.Purpose != ToShow || it.Kind != tree.Mapping) {
			v.Permissions = "rwm"
		}
		if strings.Trim(v.Permissions, "rwm") != "" {
			d.unfit(it, fmt.Sprintf("%q are not permissions of a device", v.Permissions), "use letters of rwm")
		}
		out.put(v.Target, v)
	}
	return out.all
}
