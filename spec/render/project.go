package render

import (
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/stackrun/stack/spec"
)

// YAML writes p as one YAML document.
func YAML(w io.Writer, p *spec.Project) error { return writeYAML(w, project(p)) }

// JSON writes p as one JSON object.
func JSON(w io.Writer, p *spec.Project) error { return writeJSON(w, project(p)) }

func project(p *spec.Project) object {
	var o object
	o.add("name", text(p.Name))
	o.add("services", sorted(p.Services, func(s *spec.Service) value { return service(p, s) }))
	if len(p.Networks) > 0 {
		o.add("networks", sorted(p.Networks, network))
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
	return o
}

func network(n *spec.Network) value {
	var o object
	o.add("name", str(n.Name))
	if n.Driver != "bridge" {
		o.add("driver", str(n.Driver))
	}
	o.add("driver_opts", textMap(n.DriverOpts))
	o.add("ipam", ipam(n.IPAM))
	o.add("external", yes(n.External))
	o.add("internal", yes(n.Internal))
	o.add("attachable", yes(n.Attachable))
	o.add("labels", textMap(n.Labels))
	if n.EnableIPv4 != nil {
		o.add("enable_ipv4", boolean(*n.EnableIPv4))
	}
	o.add("enable_ipv6", yes(n.EnableIPv6))
	return o
}

func ipam(pools []spec.IPAMPool) value {
	if len(pools) == 0 {
		return jsonOnly{}
	}
	var config list
	for _, p := range pools {
		var o object
		o.add("subnet", str(p.Subnet))
		o.add("gateway", str(p.Gateway))
		o.add("ip_range", str(p.IPRange))
		o.add("aux_addresses", textMap(p.Aux))
		config = append(config, o)
	}
	return object{{"config", config}}
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

func mounts(entries []spec.Mount) value {
	if len(entries) == 0 {
		return nil
	}
	var out list
	for _, m := range entries {
		var o object
		o.add("type", text(m.Type))
		o.add("source", str(m.Source))
		o.add("target", text(m.Target))
		o.add("read_only", yes(m.ReadOnly))
		switch m.Type {
		case "bind":
			b := object{}
			if !m.CreateHostPath {
				b.add("create_host_path", boolean(false))
			}
			if m.Propagation != "rprivate" {
				b.add("propagation", str(m.Propagation))
			}
			if m.Recursive != "enabled" {
				b.add("recursive", str(m.Recursive))
			}
			o.add("bind", b)
		case "volume":
			v := object{}
			v.add("labels", textMap(m.Labels))
			v.add("nocopy", yes(m.NoCopy))
			v.add("subpath", str(m.Subpath))
			o.add("volume", v)
		case "tmpfs":
			t := object{}
			t.add("size", size(m.TmpfsSize))
			t.add("mode", number(m.TmpfsMode))
			if len(t) > 0 {
				o.add("tmpfs", t)
			}
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

func ports(entries []spec.Port) value {
	if len(entries) == 0 {
		return nil
	}
	var out list
	for _, p := range entries {
		var o object
		o.add("name", str(p.Name))
		o.add("mode", str(p.Mode))
		o.add("host_ip", str(p.HostIP))
		o.add("target", integer(p.Target))
		switch {
		case p.PublishedEnd != 0:
			o.add("published", text(strconv.Itoa(int(p.Published))+"-"+strconv.Itoa(int(p.PublishedEnd))))
		case p.Published != 0:
			o.add("published", text(strconv.Itoa(int(p.Published))))
		}
		o.add("protocol", str(p.Protocol))
		o.add("app_protocol", str(p.AppProtocol))
		out = append(out, o)
	}
	return out
}
