// Package provision has services provided by programs of the user's, and models by docker's plugin, around what the daemon does.
package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/console"
	"github.com/stackrun/stack/cmd/stack/provider"
	"github.com/stackrun/stack/cmd/stack/selection"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/graph"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// providers are the services of a project that programs of the user's provide, and these programs.
type providers struct {
	run      *cli.Run
	project  *spec.Project
	order    []string // what they depend on first
	programs map[string]*provider.Program
}

// findProviders looks for the programs of all of names, before any is run. nil: there is nothing to run.
func findProviders(run *cli.Run, p *spec.Project, names []string) (*providers, error) {
	if !slices.ContainsFunc(names, func(name string) bool { return p.Services[name] != nil && p.Services[name].Provider != nil }) {
		return nil, nil // the usual case
	}
	out := &providers{run: run, project: p, programs: map[string]*provider.Program{}}
	var missing diag.List
	for _, name := range dependencyOrder(p) {
		s := p.Services[name]
		if s.Provider == nil || !slices.Contains(names, name) {
			continue
		}
		program, err := provider.Find(s.Provider.Type, run.Variables(), "")
		if err != nil {
			hint := "correct the type"
			if errors.Is(err, errdefs.ErrNotFound) {
				hint = "install it; a down by -p " + p.Name + ", away from the file, does without"
			}
			path := spec.Path("services." + name + ".provider.type")
			missing = append(missing, &diag.Diagnostic{Code: "no-provider", Summary: "a service cannot be provided", Detail: "service " + name + ": " + err.Error(), Hint: hint, Address: string(path), Subject: p.Sources.At(path), Err: err})
			continue
		}
		out.order, out.programs[name] = append(out.order, name), program
	}
	if len(missing) > 0 {
		return nil, console.Faults(missing)
	}
	return out, nil
}

// dependencyOrder is the services of p, what they depend on first.
func dependencyOrder(p *spec.Project) []string {
	g := graph.New(cmp.Compare[string])
	for name, s := range p.Services {
		g.Add(name)
		for dep := range s.DependsOn {
			if p.Services[dep] != nil {
				g.Connect(name, dep)
			}
		}
	}
	order, err := g.Order()
	if err != nil { // the loader has refused it
		return slices.Sorted(maps.Keys(p.Services))
	}
	return order
}

// findPrograms looks for all programs that an up of names runs.
func findPrograms(run *cli.Run, p *spec.Project, names []string) (*providers, *models, error) {
	all, missing := findProviders(run, p, names)
	used, err := findModels(run, p, names)
	var one, other console.Faults
	if errors.As(missing, &one) && errors.As(err, &other) {
		list := diag.List(slices.Concat(one, other))
		list.Sort()
		return nil, nil, console.Faults(list)
	}
	return all, used, cmp.Or(missing, err)
}

// Check says whether all programs are there that an up of names runs.
func Check(run *cli.Run, p *spec.Project, names []string) error {
	_, _, err := findPrograms(run, p, names)
	return err
}

// Provide prepares the models that services among names use, and runs the programs that provide services of them, before their dependents are made. Those whose services depend on
// containers run when these are up and ready. What they set goes to p.
func Provide(ctx context.Context, run *cli.Run, daemon *client.Client, p *spec.Project, o ask.UpOptions, names []string) error {
	all, used, err := findPrograms(run, p, names)
	if err != nil {
		return err
	}
	if used == nil && all == nil {
		return nil
	}
	if _, err := daemon.Connect(ctx); err != nil { // before anything is done for a daemon that refuses
		return err
	}
	if used != nil {
		if err := used.ensure(ctx); err != nil {
			return err
		}
	}
	if all == nil {
		return nil
	}
	for _, name := range all.order {
		if slices.ContainsFunc(selection.WithDependencies(p, []string{name}), func(dep string) bool { return p.Services[dep].Provider == nil }) {
			ground := ask.UpOptions{Services: []string{name}, Pull: o.Pull, Offline: o.Offline, Parallel: o.Parallel, Timeout: o.Timeout, NoRecreate: o.NoRecreate, IgnoreOrphans: true, Command: o.Command, Ports: o.Ports}
			if err := daemon.Up(ctx, p, ground, run.Progress().Event); err != nil {
				return err
			}
		}
		vars, err := all.call(ctx, name, "up")
		if err != nil {
			return err
		}
		p.Services[name].Provider.Provided = &spec.Provided{Prefixed: vars.Prefixed, Raw: vars.Raw}
		all.warnOverridden(name, vars)
	}
	return nil
}

// warnOverridden says which variables of the file a program has overridden.
func (s *providers) warnOverridden(name string, vars provider.Variables) {
	for _, user := range slices.Sorted(maps.Keys(s.project.Services)) {
		u := s.project.Services[user]
		if _, depends := u.DependsOn[name]; !depends {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(vars.Raw)) {
			if have, ok := u.Environment[key]; ok && have != vars.Raw[key] {
				s.run.Warn("service %s: %s is what the provider of %s says, not what the file does", user, key, name)
			}
		}
	}
}

// doings are what is said of a verb: by progress, and when it fails.
var doings = map[string][3]string{"up": {"Creating", "Created", "bring up"}, "down": {"Removing", "Removed", "take down"}, "stop": {"Stopping", "Stopped", "stop"}}

// call runs the program of a service.
func (s *providers) call(ctx context.Context, name, verb string) (provider.Variables, error) {
	program, options := s.programs[name], s.project.Services[name].Provider.Options
	say := func(phase event.Phase, text, detail string) {
		s.run.Progress().Event(event.Event{Project: s.project.Name, Kind: "service", Name: name, Service: name, Phase: phase, Text: text, Detail: detail})
	}
	fail := func(err error) error {
		if ctx.Err() != nil {
			return err
		}
		text, more, _ := strings.Cut(err.Error(), "\n")
		say(event.Failed, "Error", text)
		path := spec.Path("services." + name + ".provider")
		d := &diag.Diagnostic{Code: "provider", Summary: fmt.Sprintf("cannot %s service %s: %s: %s", doings[verb][2], name, program.Name, text), Address: string(path), Subject: s.project.Sources.At(path), Err: err}
		for line := range strings.Lines(more) {
			d.Notes = append(d.Notes, strings.TrimRight(line, "\n"))
		}
		return console.Faults(diag.List{d})
	}
	metadata, err := program.Metadata(ctx)
	if err != nil {
		return provider.Variables{}, fail(err)
	}
	if verb == "stop" && !metadata.Stops() {
		return provider.Variables{}, nil
	}
	if missing := metadata.Missing(verb, options); missing != "" {
		return provider.Variables{}, fail(fmt.Errorf("it needs the option %s", missing))
	}
	say(event.Working, doings[verb][0], "")
	vars, err := program.Run(ctx, provider.Call{Project: s.project.Name, Service: name, Verb: verb, Options: options, Metadata: metadata}, func(text string) { say(event.Working, doings[verb][0], text) })
	if err != nil {
		return vars, fail(err)
	}
	say(event.Done, doings[verb][1], "")
	return vars, nil
}

// TakeBack stops or removes what services of p are, dependents first: containers by do, which gets the names of those that are due and nil for all that
// are left; what programs provide by these. named are the services asked for, none = all. p nil: the file is not there, and nothing is known of programs.
func TakeBack(ctx context.Context, run *cli.Run, p *spec.Project, verb string, named []string, do func(services []string) error) error {
	var all *providers
	var err error
	if p != nil {
		names := named
		if len(names) == 0 {
			names = slices.Sorted(maps.Keys(p.Services))
		}
		all, err = findProviders(run, p, names)
	}
	if err != nil {
		return err
	}
	if all == nil {
		return do(named)
	}
	if _, err := run.Connect().Connect(ctx); err != nil { // as in provide
		return err
	}
	provided := func(name string) bool { return p.Services[name] != nil && p.Services[name].Provider != nil }
	var last []string
	for _, name := range slices.Backward(all.order) {
		if !slices.ContainsFunc(selection.WithDependencies(p, []string{name}), func(dep string) bool { return !provided(dep) }) {
			last = append(last, name) // nothing that it needs goes
			continue
		}
		var users []string
		for _, user := range slices.Sorted(maps.Keys(p.Services)) {
			if !provided(user) && slices.Contains(selection.WithDependencies(p, []string{user}), name) && (len(named) == 0 || slices.Contains(named, user)) {
				users = append(users, user)
			}
		}
		if len(users) > 0 {
			if err := do(users); err != nil {
				return err
			}
		}
		if _, err := all.call(ctx, name, verb); err != nil {
			return err
		}
	}
	rest := slices.DeleteFunc(slices.Clone(named), provided)
	if len(named) == 0 || len(rest) > 0 {
		if err := do(rest); err != nil {
			return err
		}
	}
	for _, name := range last {
		if _, err := all.call(ctx, name, verb); err != nil {
			return err
		}
	}
	return nil
}
