package provision

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/console"
	"github.com/stackrun/stack/cmd/stack/provider"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// models are the AI models that services of a project use, and docker's plugin that runs them.
type models struct {
	run     *cli.Run
	project *spec.Project
	keys    []string
	users   map[string]string // by model: the first service that uses it
	plugin  *provider.Program
}

// findModels looks for the plugin if a service among names uses a model. nil: none does.
func findModels(run *cli.Run, p *spec.Project, names []string) (*models, error) {
	m := &models{run: run, project: p, users: map[string]string{}}
	for _, name := range slices.Sorted(slices.Values(names)) {
		s := p.Services[name]
		if s == nil || s.Provider != nil {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(s.Models)) {
			if m.users[key] == "" && p.Models[key] != nil {
				m.users[key], m.keys = name, append(m.keys, key)
			}
		}
	}
	if len(m.keys) == 0 {
		return nil, nil
	}
	slices.Sort(m.keys)
	var err error
	if m.plugin, err = provider.FindPlugin("model", run.Variables(), ""); err == nil {
		return m, nil
	}
	var list diag.List
	for _, key := range m.keys {
		path := m.use(key)
		list = append(list, &diag.Diagnostic{Code: "no-model-runner", Summary: "a model cannot be run", Detail: fmt.Sprintf("service %s uses model %s: %v", m.users[key], key, err),
			Hint: "install docker's model plugin (docker-model-plugin), or give the service its address by environment", Address: string(path), Subject: p.Sources.At(path), Err: err})
	}
	list.Sort()
	return nil, console.Faults(list)
}

// use is where the first user of a model names it.
func (m *models) use(key string) spec.Path {
	return spec.Path("services." + m.users[key] + ".models." + key)
}

// ensure has the runner fetch and configure the models, and notes in the project where it answers.
func (m *models) ensure(ctx context.Context) error {
	have, err := m.plugin.Models(ctx)
	if err != nil {
		return m.fault(ctx, m.keys[0], err)
	}
	endpoint, err := m.plugin.Endpoint(ctx)
	if err != nil {
		return m.fault(ctx, m.keys[0], err)
	}
	for _, key := range m.keys {
		model := m.project.Models[key]
		if !slices.Contains(have, model.Model) {
			if m.run.Offline() {
				return m.fault(ctx, key, fmt.Errorf("the runner does not have %s, and nothing is fetched offline; up without --offline, or `docker model pull %[1]s`, gets it", model.Model))
			}
			m.say(key, event.Working, "Pulling", "")
			if err := m.plugin.PullModel(ctx, model.Model, func(line string) { m.say(key, event.Working, "Pulling", line) }); err != nil {
				return m.fault(ctx, key, err)
			}
			m.say(key, event.Done, "Pulled", "")
			have = append(have, model.Model)
		}
		m.say(key, event.Working, "Configuring", "")
		left, err := m.plugin.ConfigureModel(ctx, provider.Model{Ref: model.Model, ContextSize: model.ContextSize, RuntimeFlags: model.RuntimeFlags})
		if err != nil {
			return m.fault(ctx, key, err)
		}
		if len(left) > 0 {
			m.run.Warn("model %s: this docker-model takes no runtime flags, %s has no effect; 1.0.6 does", key, strings.Join(left, " "))
		}
		m.say(key, event.Done, "Configured", "")
		model.Endpoint = endpoint
	}
	return nil
}

func (m *models) say(key string, phase event.Phase, text, detail string) {
	name := m.project.Models[key].Name
	if name == "" {
		name = key
	}
	m.run.Progress().Event(event.Event{Project: m.project.Name, Kind: "model", Name: name, Phase: phase, Text: text, Detail: detail})
}

// fault is err as one of the model, at the place where a service names it.
func (m *models) fault(ctx context.Context, key string, err error) error {
	if ctx.Err() != nil {
		return err
	}
	text, more, _ := strings.Cut(err.Error(), "\n")
	m.say(key, event.Failed, "Error", text)
	path := m.use(key)
	d := &diag.Diagnostic{Code: "model", Summary: fmt.Sprintf("cannot prepare model %s: %s", key, text), Address: string(path), Subject: m.project.Sources.At(path), Err: err}
	for line := range strings.Lines(more) {
		d.Notes = append(d.Notes, strings.TrimRight(line, "\n"))
	}
	return console.Faults(diag.List{d})
}
