package render

import (
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stackrun/stack/spec"
)

// YAML writes p as one YAML document.
func YAML(w io.Writer, p *spec.Project) error { return writeYAML(w, project(p)) }

// JSON writes p as one JSON object.
func JSON(w io.Writer, p *spec.Project) error { return writeJSON(w, project(p)) }

// Images writes the images of p's services and nothing else: a file that is to be merged over the others.
func Images(w io.Writer, format string, p *spec.Project) error {
	with := maps.Clone(p.Services)
	maps.DeleteFunc(with, func(_ string, s *spec.Service) bool { return s.Image == "" })
	var o object
	o.add("services", sorted(with, func(s *spec.Service) value {
		var only object
		only.add("image", str(s.Image))
		return only
	}))
	if format == "json" {
		return writeJSON(w, o)
	}
	return writeYAML(w, o)
}

// Model writes what spec.Uninterpolated gives, as YAML or JSON.
func Model(w io.Writer, format string, model json.RawMessage) error {
	v := asWritten(verbatim(model).tree())
	if format == "json" {
		return writeJSON(w, v)
	}
	return writeYAML(w, v)
}

func project(p *spec.Project) object {
	var o object
	o.add("name", text(p.Name))
	o.add("services", sorted(p.Services, func(s *spec.Service) value { return service(p, s) }))
	if len(p.Networks) > 0 {
		o.add("networks", sorted(p.Networks, func(n *spec.Network) value { return network(p, n) }))
	}
	if len(p.Volumes) > 0 {
		o.add("volumes", sorted(p.Volumes, func(v *spec.Volume) value { return volume(p, v) }))
	}
	if len(p.Secrets) > 0 {
		o.add("secrets", sorted(p.Secrets, fileObject))
	}
	if len(p.Configs) > 0 {
		o.add("configs", sorted(p.Configs, fileObject))
	}
	if len(p.Models) > 0 {
		o.add("models", yamlOnly{sorted(p.Models, model)})
	}
	for _, k := range slices.Sorted(maps.Keys(p.Extensions)) {
		o.add(k, verbatim(p.Extensions[k]))
	}
	return o
}

func network(p *spec.Project, n *spec.Network) value {
	var o object
	o.add("name", str(n.Name))
	if said(p, "networks."+n.Key+".driver") {
		o.add("driver", str(n.Driver))
	}
	o.add("driver_opts", textMap(n.DriverOpts))
	o.add("ipam", ipam(n))
	o.add("external", yes(n.External))
	o.add("internal", yes(n.Internal))
	o.add("attachable", yes(n.Attachable))
	o.add("labels", textMap(n.Labels))
	if n.EnableIPv4 != nil {
		o.add("enable_ipv4", boolean(*n.EnableIPv4))
	}
	if at := "networks." + n.Key + ".enable_ipv6"; n.EnableIPv6 || said(p, at) {
		o.add("enable_ipv6", boolean(n.EnableIPv6))
	}
	return o
}

func ipam(n *spec.Network) value {
	var all object
	all.add("driver", str(n.IPAMDriver))
	var config list
	for _, p := range n.IPAM {
		var o object
		o.add("subnet", str(p.Subnet))
		o.add("gateway", str(p.Gateway))
		o.add("ip_range", str(p.IPRange))
		o.add("aux_addresses", textMap(p.Aux))
		config = append(config, o)
	}
	if len(config) > 0 {
		all.add("config", config)
	}
	all.add("options", textMap(n.IPAMOptions))
	return filled(all)
}

func volume(p *spec.Project, v *spec.Volume) value {
	var o object
	o.add("name", str(v.Name))
	if said(p, "volumes."+v.Key+".driver") {
		o.add("driver", str(v.Driver))
	}
	o.add("driver_opts", textMap(v.DriverOpts))
	o.add("external", yes(v.External))
	o.add("labels", textMap(v.Labels))
	return o
}

func fileObject(f *spec.FileObject) value {
	var o object
	o.add("name", str(f.Name))
	o.add("file", str(f.File))
	o.add("environment", str(f.Environment))
	if f.Environment == "" { // a secret's value is not for showing
		o.add("content", str(string(f.Content)))
	}
	o.add("external", yes(f.External))
	o.add("labels", textMap(f.Labels))
	o.add("driver", str(f.Driver))
	o.add("driver_opts", textMap(f.DriverOpts))
	o.add("template_driver", str(f.TemplateDriver))
	return o
}

// said tells whether the file has the key: some attributes can be written in two
// places, and the text should have them where the user wrote them.
func said(p *spec.Project, path string) bool {
	_, ok := p.Sources[spec.Path(path)]
	return ok
}

func duration(d time.Duration) value {
	if d == 0 {
		return nil
	}
	return text(d.String())
}

func fileUses(uses []spec.FileUse) value {
	if len(uses) == 0 {
		return nil
	}
	var out list
	for _, u := range uses {
		var o object
		o.add("source", str(u.Source))
		o.add("target", str(u.Target))
		o.add("uid", str(u.UID))
		o.add("gid", str(u.GID))
		if u.Mode != nil {
			o.add("mode", text("0"+strconv.FormatUint(uint64(*u.Mode), 8)))
		}
		out = append(out, o)
	}
	return out
}

func mounts(p *spec.Project, at string, entries []spec.Mount) value {
	if len(entries) == 0 {
		return nil
	}
	var out list
	for i, m := range entries {
		here := at + "[" + strconv.Itoa(i) + "]"
		// The long form shows the options it has, the short one always.
		options := func(v object) value {
			if len(v) == 0 && said(p, here+".target") && !said(p, here+"."+m.Type) {
				return nil
			}
			return v
		}
		var o object
		o.add("type", text(m.Type))
		o.add("source", str(m.Source))
		o.add("target", text(m.Target))
		o.add("read_only", yes(m.ReadOnly))
		o.add("consistency", str(m.Consistency))
		switch m.Type {
		case "bind":
			b := object{}
			b.add("selinux", str(m.SELinux))
			if m.Propagation != "rprivate" || said(p, here+".bind.propagation") {
				b.add("propagation", str(m.Propagation))
			}
			if !m.CreateHostPath {
				b.add("create_host_path", boolean(false))
			}
			if m.Recursive != "enabled" || said(p, here+".bind.recursive") {
				b.add("recursive", str(m.Recursive))
			}
			b.add("x-idmap", str(m.IDMap))
			o.add("bind", options(b))
		case "volume":
			if m.SELinux != "" { // of the short form
				o.add("bind", object{{"selinux", text(m.SELinux)}})
			}
			v := object{}
			v.add("labels", textMap(m.Labels))
			v.add("nocopy", yes(m.NoCopy))
			v.add("subpath", str(m.Subpath))
			if m.Written == "" {
				o.add("volume", options(v))
			}
		case "tmpfs":
			t := object{}
			t.add("size", size(m.TmpfsSize))
			t.add("mode", number(m.TmpfsMode))
			o.add("tmpfs", options(t))
		case "image":
			v := object{}
			v.add("subpath", str(m.Subpath))
			o.add("image", options(v))
		}
		out = append(out, o)
	}
	return out
}

// tmpfs writes the service's own key in its only form, PATH[:OPTIONS].
func tmpfs(mounts []spec.Mount) value {
	if len(mounts) == 0 {
		return nil
	}
	var out list
	for _, m := range mounts {
		if m.Written != "" {
			out = append(out, text(m.Written))
			continue
		}
		var opts []string
		if m.ReadOnly {
			opts = append(opts, "ro")
		}
		if m.TmpfsSize != 0 {
			opts = append(opts, "size="+strconv.FormatInt(m.TmpfsSize, 10))
		}
		if m.TmpfsMode != 0 {
			opts = append(opts, "mode="+strconv.FormatUint(uint64(m.TmpfsMode), 8))
		}
		s := m.Target
		if opts = append(opts, m.Options...); len(opts) > 0 {
			s += ":" + strings.Join(opts, ",")
		}
		out = append(out, text(s))
	}
	return out
}

func ports(proj *spec.Project, at string, entries []spec.Port) value {
	if len(entries) == 0 {
		return nil
	}
	var out list
	for i, p := range entries {
		var o object
		o.add("name", str(p.Name))
		o.add("mode", str(p.Mode))
		o.add("host_ip", str(p.HostIP))
		o.add("target", integer(p.Target))
		switch {
		case p.PublishedEnd != 0:
			o.add("published", text(strconv.Itoa(int(p.Published))+"-"+strconv.Itoa(int(p.PublishedEnd))))
		case p.Published != 0, said(proj, at+"["+strconv.Itoa(i)+"].published"):
			o.add("published", text(strconv.Itoa(int(p.Published))))
		}
		o.add("protocol", str(p.Protocol))
		o.add("app_protocol", str(p.AppProtocol))
		out = append(out, o)
	}
	return out
}
