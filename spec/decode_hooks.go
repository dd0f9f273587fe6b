package spec

import (
	"fmt"
	"math"
	"strings"

	"github.com/stackrun/stack/spec/tree"
)

// execFields are the keys of a command in a running container.
var execFields = fields[Hook]{
	"command":     func(d *decoder, n *tree.Node, h *Hook) { h.Command = d.command(n) },
	"user":        func(d *decoder, n *tree.Node, h *Hook) { h.User = d.str(n) },
	"privileged":  func(d *decoder, n *tree.Node, h *Hook) { h.Privileged = d.boolean(n) },
	"working_dir": func(d *decoder, n *tree.Node, h *Hook) { h.WorkingDir = d.str(n) },
	"environment": func(d *decoder, n *tree.Node, h *Hook) { h.Environment = d.inherited(n, false) },
}

// preStartFields are those of a container that runs before.
var preStartFields = fields[Hook]{
	"command":     execFields["command"],
	"image":       func(d *decoder, n *tree.Node, h *Hook) { h.Image = d.str(n) },
	"user":        execFields["user"],
	"privileged":  execFields["privileged"],
	"working_dir": execFields["working_dir"],
	"environment": execFields["environment"],
	"per_replica": func(d *decoder, n *tree.Node, h *Hook) { h.PerReplica = d.boolean(n) },
}

// ownImage gives the steps before the start that name no image the service's.
func (s *draft) ownImage() {
	for i := range s.PreStart {
		if s.PreStart[i].Image == "" {
			s.PreStart[i].Image = s.Image
		}
	}
}

func (d *decoder) hooks(n *tree.Node, f fields[Hook]) []Hook {
	var out []Hook
	for _, it := range d.items(n) {
		var h Hook
		if object(d, it, f, &h) {
			out = append(out, h)
		}
		if f["image"] == nil {
			d.needs(it, "command")
		}
	}
	return out
}

// needs reports the keys that the mapping n lacks.
func (d *decoder) needs(n *tree.Node, keys ...string) {
	for _, k := range keys {
		if n.Kind == tree.Mapping && n.Pair(k) == nil {
			d.err(CodeMissing, n, n.Path+" has no "+k, "")
		}
	}
}

// develop is the develop section under decoding.
type develop struct{ watch []Watch }

var developFields = fields[develop]{
	"watch": func(d *decoder, n *tree.Node, v *develop) {
		for _, it := range d.items(n) {
			var w Watch
			object(d, it, watchFields, &w)
			d.needs(it, "path", "action")
			if w.Target == "" && (strings.HasPrefix(w.Action, "sync")) {
				d.inconsistent(CodeMissing, it, fmt.Sprintf("%s: the action %s needs a target", it.Path, w.Action), "write target: the path in the container")
			}
			v.watch = append(v.watch, w)
		}
	},
}

var watchFields = fields[Watch]{
	"path": func(d *decoder, n *tree.Node, w *Watch) {
		if w.Path = d.path(d.str(n)); d.str(n) == "" {
			d.bad(n, "the path is empty", "")
		}
	},
	"action": func(d *decoder, n *tree.Node, w *Watch) {
		w.Action = d.oneOf(n, "rebuild", "sync", "restart", "sync+restart", "sync+exec")
	},
	"target":       func(d *decoder, n *tree.Node, w *Watch) { w.Target = d.str(n) },
	"ignore":       func(d *decoder, n *tree.Node, w *Watch) { w.Ignore = d.oneOrMore(n) },
	"include":      func(d *decoder, n *tree.Node, w *Watch) { w.Include = d.oneOrMore(n) },
	"initial_sync": func(d *decoder, n *tree.Node, w *Watch) { w.InitialSync = d.boolean(n) },
	"exec": func(d *decoder, n *tree.Node, w *Watch) {
		w.Exec = &Hook{}
		object(d, n, execFields, w.Exec)
		d.needs(n, "command")
	},
}

var providerFields = fields[Provider]{
	"type":    func(d *decoder, n *tree.Node, p *Provider) { p.Type = d.str(n) },
	"options": func(d *decoder, n *tree.Node, p *Provider) { p.Options = d.providerOptions(n) },
}

func (d *decoder) provider(n *tree.Node) *Provider {
	p := &Provider{}
	object(d, n, providerFields, p)
	d.needs(n, "type")
	return p
}

func (d *decoder) providerOptions(n *tree.Node) map[string][]string {
	if n.Kind != tree.Mapping {
		d.want(n, "a mapping")
		return nil
	}
	m := map[string][]string{}
	for _, p := range n.Pairs {
		for _, it := range d.many(p.Value) {
			m[p.Key.Value] = append(m[p.Key.Value], d.text(it))
		}
	}
	return m
}

var modelFields = fields[Model]{
	"name":         func(d *decoder, n *tree.Node, m *Model) { m.Name = d.str(n) },
	"model":        func(d *decoder, n *tree.Node, m *Model) { m.Model = d.str(n) },
	"context_size": func(d *decoder, n *tree.Node, m *Model) { m.ContextSize = d.integer(n, 0, math.MaxInt64) },
	"runtime_flags": func(d *decoder, n *tree.Node, m *Model) {
		m.RuntimeFlags = d.strs(n)
	},
}

func (d *decoder) models(n *tree.Node) {
	d.each(n, "model", func(key, value *tree.Node) {
		m := &Model{Key: key.Value}
		if object(d, value, modelFields, m) {
			d.needs(value, "model")
		}
		d.project.Models[key.Value] = m
	})
}

var modelUseFields = fields[ModelUse]{
	"endpoint_var": func(d *decoder, n *tree.Node, u *ModelUse) { u.EndpointVar = d.str(n) },
	"model_var":    func(d *decoder, n *tree.Node, u *ModelUse) { u.ModelVar = d.str(n) },
}

// modelUses decodes a service's models: a list of names or a mapping.
func (d *decoder) modelUses(n *tree.Node) map[string]*ModelUse {
	out := map[string]*ModelUse{}
	switch n.Kind {
	case tree.Sequence:
		for _, it := range n.Items {
			out[d.str(it)] = nil
		}
	case tree.Mapping:
		for _, p := range n.Pairs {
			if p.Value.IsNull() {
				out[p.Key.Value] = nil
				continue
			}
			u := &ModelUse{}
			object(d, p.Value, modelUseFields, u)
			out[p.Key.Value] = u
		}
	default:
		d.want(n, "a mapping or a list of names")
	}
	return out
}
