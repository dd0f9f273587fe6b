package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stackrun/stack/spec/tree"
)

// topFields are the keys at the top of a file. name is read before all else,
// include is resolved before.
var topFields = fields[decoder]{
	"name":     func(d *decoder, n *tree.Node, _ *decoder) { d.str(n) },
	"include":  func(*decoder, *tree.Node, *decoder) {},
	"services": func(d *decoder, n *tree.Node, _ *decoder) { d.draftsOf(n) },
	"networks": func(d *decoder, n *tree.Node, _ *decoder) { d.networks(n) },
	"volumes":  func(d *decoder, n *tree.Node, _ *decoder) { d.volumes(n) },
	"configs": func(d *decoder, n *tree.Node, _ *decoder) {
		d.files(n, "config", configFields, d.project.Configs)
	},
	"secrets": func(d *decoder, n *tree.Node, _ *decoder) {
		d.files(n, "secret", secretFields, d.project.Secrets)
	},
	"models":  func(d *decoder, n *tree.Node, _ *decoder) { d.models(n) },
	"version": func(d *decoder, n *tree.Node, _ *decoder) { d.str(n) },
}

// decode turns the checked model into the project: values, profiles, defaults,
// implied dependencies, consistency, and only what the active services use.
func (l *loader) decode(model *tree.Node) *Project {
	p := &Project{
		Name: l.project, Dir: l.in.Dir, Isolated: l.in.Isolated, Files: slices.Clone(l.in.Files),
		Services: map[string]*Service{}, Inactive: map[string]*Service{},
		Networks: map[string]*Network{}, Volumes: map[string]*Volume{},
		Configs: map[string]*FileObject{}, Secrets: map[string]*FileObject{},
		Models: map[string]*Model{}, Extensions: extensions(model),
		Profiles: slices.Clone(l.in.Profiles), Sources: sourcesOf(model), AllResources: l.in.AllResources,
	}
	d := &decoder{loader: l, project: p, drafts: map[string]*draft{}}
	object(d, model, topFields, d)
	d.owner = owner{}
	if len(d.drafts) == 0 && !l.in.AllResources && !l.HasErrors() {
		l.refuse(CodeEmpty, model, "it has no services", "add a service")
	}
	d.selectProfiles()
	if !d.in.Raw.Consistency {
		d.checkImages()
	}
	for _, name := range sortedKeys(d.drafts) {
		d.finish(d.drafts[name])
	}
	d.isolate()
	wanted := d.wanted()
	for _, name := range sortedKeys(d.drafts) {
		d.fill(d.drafts[name], wanted[name])
	}
	if !d.in.Raw.Consistency {
		d.consistency()
	}
	if d.in.Purpose == ToRun {
		d.settle()
	}
	d.prune()
	d.settleLimits()
	return p
}

// selectProfiles sorts the services into active ones and others. A service named
// on the command line brings its profiles with it. One that has the empty profile beside
// others is in when none is asked for: docker compose reads "" out of a COMPOSE_PROFILES that is
// not set, and files write `profiles: ["", dev]` for it.
func (d *decoder) selectProfiles() {
	active := map[string]bool{"": len(d.in.Profiles) == 0}
	for _, p := range d.in.Profiles {
		active[p] = true
	}
	for _, name := range d.in.Services {
		s := d.drafts[name]
		if s == nil {
			d.err(CodeNoService, nil, name, among(&d.faults, name, d.drafts))
			continue
		}
		for _, p := range s.Profiles {
			active[p] = true
		}
	}
	for name, s := range d.drafts {
		in := len(s.Profiles) == 0 || active["*"]
		for _, p := range s.Profiles {
			in = in || active[p]
		}
		if in {
			d.project.Services[name] = &s.Service
		} else {
			d.project.Inactive[name] = &s.Service
		}
	}
	delete(active, "")
	d.project.Profiles = slices.Sorted(maps.Keys(active))
}

// finish gives a service what follows from its other keys and from the project.
func (d *decoder) finish(s *draft) {
	d.owner = owner{"services", s.Name}
	if d.in.Raw.Defaults {
		return
	}
	if s.NetworkMode == "" && len(s.Networks) == 0 && s.Provider == nil {
		s.Networks = map[string]*Endpoint{"default": {}}
	}
	if _, uses := s.Networks["default"]; uses {
		d.defaultNetwork()
	}
	for _, mode := range []string{s.NetworkMode, s.IPC, s.PID, s.UTS} {
		if of := needsOf(mode); of != "" {
			s.needs(of, true)
		}
	}
	for _, l := range s.links {
		s.needs(l.service, true)
	}
	for _, v := range s.VolumesFrom {
		if name, _, _ := strings.Cut(v, ":"); name != "container" {
			s.needs(name, false)
		}
	}
}

// fill reads what is beside the file: for active services only, and not for verbs that
// make no containers. What a service that is not wanted lacks is no fault.
func (d *decoder) fill(s *draft, wanted bool) {
	d.owner = owner{"services", s.Name}
	if d.project.Services[s.Name] == nil || d.in.Purpose == ToManage || d.in.Purpose == ToBuild {
		s.envFiles, s.labelFiles = nil, nil
	}
	if !wanted {
		for i := range s.envFiles {
			s.envFiles[i].required = false
		}
		s.labelFiles = slices.DeleteFunc(s.labelFiles, func(n *tree.Node) bool { return !exists(d.in.FS, d.onHost(n.Value)) })
	}
	d.variables(s)
	d.securityOpts(s)
	d.labelSet(s)
}

// defaultNetwork makes the network that services without any are on.
func (d *decoder) defaultNetwork() {
	if d.project.Networks["default"] == nil {
		d.project.Networks["default"] = &Network{Key: "default", Name: d.project.Name + "_default", Driver: "bridge"}
	}
}

// needs adds the dependency that sharing a namespace or volumes, or linking, implies,
// unless the file says one.
func (s *draft) needs(name string, restart bool) {
	if s.DependsOn == nil {
		s.DependsOn = map[string]Dependency{}
	}
	if _, said := s.DependsOn[name]; !said {
		s.DependsOn[name] = Dependency{Condition: ServiceStarted, Restart: restart, Required: true}
	}
}

// link makes the aliases of links names of the linked service, on the networks that
// both share. docker compose shows them to the linking container only; here every
// container of those networks can use them.
func (d *decoder) link(s *draft) {
	for _, l := range s.links {
		target := d.project.Services[l.service]
		if target == nil {
			continue // the missing dependency is reported
		}
		shared := false
		for _, n := range sortedKeys(s.Networks) {
			e, both := target.Networks[n]
			if !both {
				continue
			}
			shared = true
			if l.alias != l.service && !slices.Contains(e.Aliases, l.alias) {
				e.Aliases = append(e.Aliases, l.alias)
			}
		}
		if !shared {
			d.note(l.node, fmt.Sprintf("service %q links to %q, and they share no network", s.Name, l.service), "put both on one network")
		}
	}
}

// prune keeps what an active service uses, and reads the content of what is kept.
func (d *decoder) prune() {
	if !d.in.AllResources {
		d.project.prune()
	}
	d.contents("configs", d.project.Configs)
	d.contents("secrets", d.project.Secrets)
}

// Only is p with these of its services, and of networks, volumes and the like what they use.
func (p *Project) Only(services []string) *Project {
	out := *p
	out.Services = map[string]*Service{}
	for _, name := range services {
		out.Services[name] = p.Services[name]
	}
	out.Networks, out.Volumes, out.Models = maps.Clone(p.Networks), maps.Clone(p.Volumes), maps.Clone(p.Models)
	out.Configs, out.Secrets = maps.Clone(p.Configs), maps.Clone(p.Secrets)
	out.prune()
	return &out
}

func (p *Project) prune() {
	networks, volumes, configs, secrets, models := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, s := range p.Services {
		for n := range s.Networks {
			networks[n] = true
		}
		for _, m := range s.Mounts {
			if m.Type == "volume" {
				volumes[m.Source] = true
			}
		}
		for _, u := range s.Configs {
			configs[u.Source] = true
		}
		for _, u := range s.Secrets {
			secrets[u.Source] = true
		}
		if s.Build != nil {
			for _, u := range s.Build.Secrets {
				secrets[u.Source] = true
			}
		}
		for m := range s.Models {
			models[m] = true
		}
	}
	keep(p.Networks, networks)
	keep(p.Volumes, volumes)
	keep(p.Configs, configs)
	keep(p.Secrets, secrets)
	keep(p.Models, models)
}

func keep[V any](m map[string]V, used map[string]bool) {
	maps.DeleteFunc(m, func(k string, _ V) bool { return !used[k] })
}

func (d *decoder) contents(kind string, files map[string]*FileObject) {
	for _, key := range sortedKeys(files) {
		f := files[key]
		if f.Environment == "" {
			continue
		}
		v, ok := d.lookup(f.Environment)
		if !ok {
			r := d.project.Sources.At(Path(kind + "." + key + ".environment"))
			d.owner = owner{kind, key}
			d.refuse(CodeUnset, pointNode(r), fmt.Sprintf("%s.%s takes its content from the variable %s, which is not set", kind, key, f.Environment), "set it in the environment or in .env")
			continue
		}
		f.Content = []byte(v)
	}
}
