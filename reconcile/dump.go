package reconcile

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/lazyregexp"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/planning"
	"github.com/stackrun/stack/spec"
	secret "github.com/stackrun/stack/spec/redact"
)

// Dump is what a plan of p is made of; without p, of the project's last up. It changes nothing.
func (e *Engine) Dump(ctx context.Context, project string, p *spec.Project) (*ask.Dump, error) {
	release, err := e.loop.Pass(ctx, project)
	if err != nil {
		return nil, err
	}
	defer release()
	if p == nil {
		if p, err = e.wishes.File(project); err != nil {
			return nil, err
		}
	}
	if p == nil {
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot dump project %s: there is no file, and it is not up", project))
	}
	want, err := e.planner.Desire(p, ask.UpOptions{})
	if err != nil {
		return nil, err
	}
	c, err := e.planner.Compare(ctx, p, want, ask.UpOptions{})
	if err != nil {
		return nil, err
	}
	pl, said, err := e.planner.Build(ctx, c)
	if err != nil {
		return nil, err
	}
	out := &ask.Dump{Project: project, Said: said, Changes: planning.Preview(project, pl, nil).Changes}
	var steps []savedStep
	if pl != nil {
		steps = savedSteps(pl)
	}
	have := factsOf(want, c.Have)
	delete(have, "service") // that is of what is desired
	for _, part := range []struct {
		into *json.RawMessage
		from any
	}{{&out.Desired, want}, {&out.Observed, have}, {&out.Steps, steps}} {
		if *part.into, err = discreetJSON(part.from); err != nil {
			return nil, fmt.Errorf("cannot dump project %s: %w", project, err)
		}
	}
	out.Graph = graphOf(want, pl)
	return out, nil
}

func graphOf(want *plan.Desired, pl *plan.Plan) ask.Graph {
	g := ask.Graph{Resources: []ask.Node{}, Steps: []ask.Node{}, Edges: []ask.Edge{}}
	service := func(name string) string { return "service:" + name }
	for _, name := range slices.Sorted(maps.Keys(want.Networks)) {
		g.Resources = append(g.Resources, ask.Node{ID: "network:" + name, Text: name, Kind: plan.KindNetwork})
	}
	for _, name := range slices.Sorted(maps.Keys(want.Volumes)) {
		g.Resources = append(g.Resources, ask.Node{ID: "volume:" + name, Text: name, Kind: plan.KindVolume})
	}
	for _, name := range slices.Sorted(maps.Keys(want.Services)) {
		s := want.Services[name]
		g.Resources = append(g.Resources, ask.Node{ID: service(name), Text: fmt.Sprintf("%s ×%d", name, s.Replicas), Kind: plan.KindContainer})
		for _, dep := range slices.Sorted(maps.Keys(s.DependsOn)) {
			d := s.DependsOn[dep]
			g.Edges = append(g.Edges, ask.Edge{From: service(name), To: service(dep), Text: string(d.Condition), Weak: !d.Required})
		}
		for _, net := range slices.Sorted(maps.Keys(s.Spec.Networks)) {
			g.Edges = append(g.Edges, ask.Edge{From: service(name), To: "network:" + net})
		}
		for _, m := range s.Spec.Mounts {
			if _, named := want.Volumes[m.Source]; named && m.Type == "volume" {
				g.Edges = append(g.Edges, ask.Edge{From: service(name), To: "volume:" + m.Source, Text: m.Target})
			}
		}
	}
	if pl == nil {
		return g
	}
	step := func(n int) string { return fmt.Sprintf("#%d", n) }
	for _, s := range pl.Steps {
		g.Steps = append(g.Steps, ask.Node{ID: step(s.ID), Text: s.Op.String()})
		for _, n := range s.Needs {
			g.Edges = append(g.Edges, ask.Edge{From: step(s.ID), To: step(n)})
		}
		for _, n := range s.After {
			g.Edges = append(g.Edges, ask.Edge{From: step(s.ID), To: step(n), Weak: true})
		}
	}
	return g
}

// discreetJSON is v as JSON without values that are secret.
func discreetJSON(v any) (json.RawMessage, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber() // sizes in bytes do not fit a float64
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, err
	}
	return json.Marshal(hideIn("", tree))
}

// digest is an id or a digest, which hides nothing.
var digest = lazyregexp.New(`^(sha256:)?[0-9a-f]+$`)

// userNamed are the objects of a specification whose keys are users' names for their values.
var userNamed = map[string]bool{"environment": true, "labels": true, "annotations": true, "driver_opts": true, "options": true}

// hideIn takes secrets out of the value of key: strings that show one by themselves, and those that a user has named so.
func hideIn(key string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, sub := range v {
			s, text := sub.(string)
			if text && s != "" && (userNamed[key] && secret.Name(k) || key == "secrets" && k == "digest") { // a short secret can be guessed from its digest
				v[k] = secret.Hidden
			} else {
				v[k] = hideIn(k, sub)
			}
		}
	case []any:
		for i, sub := range v {
			v[i] = hideIn(key, sub)
		}
	case string:
		if digest.MatchString(v) {
			return v // it looks like a line of a key, and is none
		}
		hidden, _ := secret.Line(v)
		return hidden
	}
	return v
}
