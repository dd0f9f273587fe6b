package file

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/console"
	"github.com/stackrun/stack/cmd/stack/inquiry"
	"github.com/stackrun/stack/cmd/stack/selection"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// pinned is p with the digest of each image of services (all when none is named, else those they depend on too), as the registries have it now. It needs no
// daemon: the registries are those of the daemon's configuration, the credentials those of who asks.
func pinned(ctx context.Context, run *cli.Run, p *spec.Project, services []string) (*spec.Project, error) {
	if len(services) > 0 {
		p = p.Only(selection.WithDependencies(p, services))
	}
	places := imagePlaces(p)
	names := slices.Sorted(maps.Keys(places))
	answer, err := run.Launcher.Inquire(ctx, inquiry.Question{Pins: &inquiry.Pins{Config: run.ConfigPath(), Images: names}})
	if err != nil {
		return nil, err
	}
	var wrong diag.Collector
	digests := map[string]string{}
	for i, name := range names {
		pin := answer.Pins[i]
		if digests[name] = pin.Ref; pin.Fault == "" {
			continue
		}
		detail := pin.Fault
		if pin.Note != "" {
			detail += " (" + pin.Note + ")"
		}
		for _, at := range places[name] {
			wrong.Add(&diag.Diagnostic{Code: "image", Summary: "cannot resolve the digest of an image", Detail: detail, Subject: p.Sources.At(at), Address: string(at)})
		}
	}
	if wrong.HasErrors() {
		return nil, console.Faults(wrong.List())
	}
	out := *p
	out.Services = make(map[string]*spec.Service, len(p.Services))
	for name, s := range p.Services {
		pinned := *s
		if d := digests[s.Image]; d != "" {
			pinned.Image = d
		}
		pinned.PreStart = slices.Clone(s.PreStart)
		for i := range pinned.PreStart {
			if d := digests[pinned.PreStart[i].Image]; d != "" {
				pinned.PreStart[i].Image = d
			}
		}
		out.Services[name] = &pinned
	}
	return &out, nil
}

// imagePlaces are the images of p that a registry knows, with where the files say them. One that is an id has no registry.
func imagePlaces(p *spec.Project) map[string][]spec.Path {
	places := map[string][]spec.Path{}
	add := func(image, at string) {
		if image != "" && !strings.HasPrefix(image, "sha256:") {
			places[image] = append(places[image], spec.Path(at))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		s := p.Services[name]
		add(s.Image, "services."+name+".image")
		for i, h := range s.PreStart {
			add(h.Image, fmt.Sprintf("services.%s.pre_start[%d].image", name, i))
		}
	}
	return places
}

// warnUnlocked tells what a file of images cannot say: lists are joined when files are, so that it would add a step and not change one.
func warnUnlocked(run *cli.Run, p *spec.Project) {
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		if slices.ContainsFunc(p.Services[name].PreStart, func(h spec.Hook) bool { return h.Image != "" }) {
			run.Warn("service %q: images of pre_start are not in what --lock-image-digests writes; --resolve-image-digests shows them", name)
		}
	}
}
