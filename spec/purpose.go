package spec

import (
	"path"
	"slices"
	"strings"

	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/spec/tree"
)

// Purpose is what a project is loaded for. It decides how much of the file must be
// fit for it: a file that cannot be run here can still be shown, and what is
// running can still be listed and stopped when the file is not fit any more.
type Purpose uint8

const (
	// ToRun is for making containers. What this host cannot run is an error when the
	// selected services need it, and the project says what is really done: links are
	// aliases, the platform is decided, optional dependencies that are not there are gone.
	ToRun Purpose = iota
	// ToShow is for looking at the file: the project is as written, and what cannot
	// be run is a warning.
	ToShow
	// ToManage is for verbs that work on what there is: neither env files nor label
	// files are read, and what cannot be run is not spoken of.
	ToManage
	// ToBuild is for making images: env files and label files are not read, and of what cannot be had only what
	// is said of builds is spoken of.
	ToBuild
)

// owner is the object that a part of the file belongs to: "services", "web".
type owner struct{ section, name string }

// limit is a fault that only matters to who runs the object it belongs to.
type limit struct {
	owner
	fault *diag.Diagnostic
}

// refuse reports what docker compose accepts when it reads a file and what cannot be
// run: by nature, or here.
func (l *loader) refuse(code diag.Code, n *tree.Node, detail, hint string) {
	l.limited(diag.Error, code, n, detail, hint)
}

// unfit is refuse for the text of n.
func (l *loader) unfit(n *tree.Node, why, hint string) {
	l.refuse(CodeValue, n, n.Path+": "+why, hint)
}

// note is a warning that only matters to who runs the object.
func (l *loader) note(n *tree.Node, detail, hint string) {
	l.limited(diag.Warning, CodeIgnored, n, detail, hint)
}

func (l *loader) limited(s diag.Severity, code diag.Code, n *tree.Node, detail, hint string) {
	if l.in.Purpose == ToManage || l.in.Purpose == ToBuild && !ofBuild(n) {
		return
	}
	l.limits = append(l.limits, limit{l.owner, fault(s, code, n, detail, hint)})
}

// ofBuild says whether n is part of how an image is built.
func ofBuild(n *tree.Node) bool {
	rest, ok := strings.CutPrefix(n.Path, "services.")
	if !ok {
		return false
	}
	_, key, _ := strings.Cut(rest, ".build")
	return key == "" && strings.HasSuffix(rest, ".build") || strings.HasPrefix(key, ".") || strings.HasPrefix(key, "[")
}

// settleLimits turns the limits of what p would run into faults.
func (d *decoder) settleLimits() {
	wanted := d.wanted()
	for _, m := range d.limits {
		var used bool
		switch m.section {
		case "services":
			used = wanted[m.name]
		case "networks":
			used = d.project.Networks[m.name] != nil
		case "volumes":
			used = d.project.Volumes[m.name] != nil
		case "configs":
			used = d.project.Configs[m.name] != nil
		case "secrets":
			used = d.project.Secrets[m.name] != nil
		default:
			used = true
		}
		if !used {
			continue
		}
		if d.in.Purpose == ToShow {
			m.fault.Severity = diag.Warning
		}
		d.Add(m.fault)
	}
}

// wanted are the services that the command line names, with all that they depend
// on; all active ones when it names none.
func (d *decoder) wanted() map[string]bool {
	set := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		s := d.project.Services[name]
		if s == nil || set[name] {
			return
		}
		set[name] = true
		for dep := range s.DependsOn {
			add(dep)
		}
	}
	names := d.in.Services
	if len(names) == 0 {
		names = sortedKeys(d.project.Services)
	}
	for _, name := range names {
		add(name)
	}
	return set
}

// settle makes of the written project the one that is run.
func (d *decoder) settle() {
	for _, name := range sortedKeys(d.project.Services) {
		s := d.drafts[name]
		d.owner = owner{"services", name}
		if s.Platform == "" {
			s.Platform = d.env["DOCKER_DEFAULT_PLATFORM"]
		}
		for _, dep := range sortedKeys(s.DependsOn) {
			if !s.DependsOn[dep].Required && d.project.Services[dep] == nil {
				delete(s.DependsOn, dep)
			}
		}
		if len(s.DependsOn) == 0 {
			s.DependsOn = nil
		}
		if s.NetworkMode == "bridge" || s.NetworkMode == "default" {
			n := s.node.Get("network_mode")
			d.note(n, n.Path+": there is no bridge that projects share; the service joins the project's default network", "remove network_mode")
			s.NetworkMode = ""
			s.Networks = map[string]*Endpoint{"default": {}}
			d.defaultNetwork()
		}
		d.joinByName(s)
		if (s.NetworkMode == "none" || s.NetworkMode == "host") && len(s.Ports) > 0 {
			why := "is on no network: nothing can reach its ports"
			if s.NetworkMode == "host" {
				why = "is in the host's network: its ports are the host's, none is published"
			}
			d.note(s.child("ports"), "service \""+name+"\" "+why, "remove ports or network_mode")
			s.Ports = nil
		}
		if s.Runtime == nvidia {
			s.GPUs = visible(s)
		}
		if s.UseAPISocket {
			s.Mounts = withSocket(s.Mounts)
			d.note(s.child("use_api_socket"), "service \""+name+"\" gets the engine's socket, but no credentials of registries", "give it those that it needs as a secret, and name their directory in DOCKER_CONFIG")
		}
		for i := range s.Mounts {
			if s.Mounts[i].Type == "bind" {
				s.Mounts[i].Source = path.Clean(s.Mounts[i].Source)
			}
		}
	}
	for _, name := range sortedKeys(d.project.Services) {
		d.owner = owner{"services", name}
		d.link(d.drafts[name])
	}
}

// nvidia is the runtime by which files asked for GPUs before there were gpus and deploy for it.
const nvidia = "nvidia"

// visible is what NVIDIA's runtime would give s: the devices that a variable names, unless s asks for some in another way.
// https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html
func visible(s *draft) []DeviceRequest {
	if len(s.GPUs) > 0 || s.Deploy != nil && s.Deploy.Reservations != nil && len(s.Deploy.Reservations.Devices) > 0 {
		return s.GPUs
	}
	request := DeviceRequest{Driver: nvidia, Capabilities: []string{"gpu"}}
	switch value, said := s.Environment["NVIDIA_VISIBLE_DEVICES"]; {
	case !said || value == "all":
		request.Count = -1
	case value == "" || value == "none" || value == "void":
		return nil
	default:
		request.IDs = strings.Split(value, ",")
	}
	return []DeviceRequest{request}
}

// apiSocket is where docker compose takes the engine's socket from and puts it, for use_api_socket.
const apiSocket = "/var/run/docker.sock"

// withSocket is mounts with the engine's socket, unless the file has something there itself.
func withSocket(mounts []Mount) []Mount {
	if slices.ContainsFunc(mounts, func(m Mount) bool { return m.Target == apiSocket }) {
		return mounts
	}
	return append(mounts, Mount{Type: "bind", Source: apiSocket, Target: apiSocket})
}

// Joined is the service of p that mode, of a namespace, names: service:NAME, or container:NAME by its container_name. "" = it names none, or a container of another
// project.
func (p *Project) Joined(mode string) string {
	name, ok := strings.CutPrefix(mode, "container:")
	if !ok {
		return needsOf(mode)
	}
	for _, key := range sortedKeys(p.Services) {
		if s := p.Services[key]; s.ContainerName == name && s.Provider == nil {
			return key
		}
	}
	return ""
}

// needsOf is the service that a mode such as "service:db" names, "" when none.
func needsOf(mode string) string {
	of, _ := strings.CutPrefix(mode, "service:")
	if of == mode {
		return ""
	}
	return of
}
