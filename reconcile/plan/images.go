package plan

import (
	"fmt"
	"slices"

	"github.com/stackrun/stack/spec/diag"
)

// Makers are the services whose builds make images, by ImageKey: of several that make one, the first by name.
func (d *Desired) Makers() map[string]*Service {
	makers := map[string]*Service{}
	for _, name := range sortedKeys(d.Services) {
		s := d.Services[name]
		if key := s.Spec.ImageKey(); s.Build != nil && makers[key] == nil {
			makers[key] = s
		}
	}
	return makers
}

// AsksRegistry says whether the image of s, which is made here, is first looked for in a registry.
func (s *Service) AsksRegistry() bool {
	return s.Build.Named && s.Build.Again == "" && s.MayPull() && s.PullPolicy != "build"
}

// MayPull says whether a registry may be asked for images of s that are not here.
func (s *Service) MayPull() bool { return s.PullPolicy != "never" && !s.Offline }

// CodeNotLocal is an image that is not here and may not be got.
const CodeNotLocal diag.Code = "image-not-local"

// emitImages pulls or builds what containers of a service are made from, those of its pre_start too.
func (b *builder) emitImages(d *decision) {
	s := d.service
	if d.makes() {
		s.Spec.EachImage(func(ref, at string) { b.pull(s, ref, at) })
	} else if s.Build != nil && !b.opt.Heal && !b.opt.OwnOnly {
		b.pull(s, s.Spec.Image, "image") // as docker compose does: other builds may start from what runs nowhere
	}
	b.eachStepImage(d, func(ref, at string) { b.pull(s, ref, at) })
}

// pull is the step that pulls or builds an image of s, if there must be one. at is the key of s that names it.
func (b *builder) pull(s *Service, ref, at string) {
	key := ImageKey(ref, s.Spec.Platform)
	if maker := b.makers[key]; maker != nil {
		b.make(maker, s.Name)
		return
	}
	_, local := b.have.Images[key]
	if local && !b.opt.Refresh[key] || !s.MayPull() {
		return
	}
	if n := b.pulls[key]; n != 0 {
		op := b.steps[n-1].Op.(PullImage)
		if !slices.Contains(op.Services, s.Name) {
			op.Services = append(op.Services, s.Name)
			b.steps[n-1].Op = op
		}
		return
	}
	id := ID{Kind: KindImage, Name: ref}
	why := Reason{Path: NotHere}
	if local {
		why.Path = LookAgain
	}
	b.change(id, ref, Pull, why)
	b.pulls[key] = b.step(PullImage{Ref: ref, Platform: s.Spec.Platform, Services: []string{s.Name}, At: at}, id, why, nil, nil)
}

// make is the step in which maker's image is built for a service, 0 when it is to stay as it is. What it builds on comes before it.
func (b *builder) make(maker *Service, user string) int {
	ref, key := maker.Spec.Image, maker.Spec.ImageKey()
	if n := b.pulls[key]; n != 0 {
		op := b.steps[n-1].Op.(BuildImage)
		if !slices.Contains(op.Services, user) {
			op.Services = append(op.Services, user)
			b.steps[n-1].Op = op
		}
		return n
	}
	_, local := b.have.Images[key]
	why := Reason{Path: NotHere}
	switch again := b.opt.Rebuild[key]; {
	case !local:
	case again != "":
		why.Path = again
	case b.opt.Refresh[key]:
		why.Path = LookAgain
	default:
		return 0
	}
	var needs []int
	for _, from := range maker.Build.From {
		if on := b.want.Services[from]; on != nil && on.Build != nil {
			if under := b.makers[on.Spec.ImageKey()]; under != maker {
				needs = append(needs, b.make(under, maker.Name))
			}
		}
	}
	id := ID{Kind: KindImage, Name: ref}
	op := BuildImage{Ref: ref, Platform: maker.Spec.Platform, Service: maker.Name, Services: []string{user}, RegistryFirst: maker.AsksRegistry()}
	if op.RegistryFirst {
		why.Path += "; the registry is asked first"
	}
	b.change(id, ref, Make, why)
	b.pulls[key] = b.step(op, id, why, needs, nil)
	return b.pulls[key]
}

// Why an image is pulled or built that nobody asks for.
const (
	NotHere   = "it is not on this host"
	LookAgain = "its pull policy asks for a look at the registry"
)

// buildsFirst has every step that changes something wait for all builds: what cannot be built must not leave half a project.
func (b *builder) buildsFirst() {
	var builds []int
	brings := map[int]bool{}
	for _, s := range b.steps {
		switch s.Op.(type) {
		case BuildImage:
			builds = append(builds, s.ID)
			brings[s.ID] = true
		case PullImage:
			brings[s.ID] = true
		}
	}
	if len(builds) == 0 || b.opt.Heal { // there one that fails must not keep others from being healed
		return
	}
	for i := range b.steps {
		s := &b.steps[i]
		if !brings[s.ID] && !slices.ContainsFunc(s.Needs, func(n int) bool { return !brings[n] }) {
			s.Needs = stepIDs(append(s.Needs, builds...))
		}
	}
}

// OfflineFault is that a service's image, which its key at names, is not here and is not fetched.
func OfflineFault(service, at, ref string) *diag.Diagnostic {
	return &diag.Diagnostic{
		Code: CodeNotLocal, Summary: "the image is not on this host, and nothing is fetched offline",
		Detail: fmt.Sprintf("service %s needs %s", service, ref),
		Hint:   "`stack pull " + service + "` gets it when online, `stack load -i FILE` from a file", Address: "services." + service + "." + at,
	}
}

// checkImages refuses what could not succeed: an image that is not local and may be neither pulled nor built.
func (b *builder) checkImages() {
	for _, name := range b.order {
		d := b.decided[name]
		s := d.service
		missing := map[string]bool{}
		check := func(ref, at string) {
			key := ImageKey(ref, s.Spec.Platform)
			if _, local := b.have.Images[key]; local || missing[ref] || b.makers[key] != nil {
				return
			}
			switch {
			case at == "image" && s.Build != nil && !s.Build.Named: // with NoBuild
				b.diags = append(b.diags, &diag.Diagnostic{
					Code: "image-not-built", Summary: "the image is not on this host and may not be built",
					Detail: fmt.Sprintf("service %s needs %s, and --no-build was given", name, ref), Hint: "build it with `stack build " + name + "`", Address: "services." + name + ".build",
				})
			case s.Offline:
				b.diags = append(b.diags, OfflineFault(name, at, ref))
			case !s.MayPull():
				b.diags = append(b.diags, &diag.Diagnostic{
					Code: CodeNotLocal, Summary: "the image is not on this host and may not be pulled",
					Detail: fmt.Sprintf("service %s needs %s and its pull policy is never", name, ref),
					Hint:   "load it with `stack load`, or allow pulling with pull_policy: missing", Address: "services." + name + "." + at,
				})
			default:
				return
			}
			missing[ref] = true
		}
		if d.makes() {
			s.Spec.EachImage(check)
		}
		b.eachStepImage(d, check)
	}
}
