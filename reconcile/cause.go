package reconcile

import (
	"encoding/json"
	"strings"

	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/plan"
	secret "github.com/stackrun/stack/spec/redact"
)

// sayCauses tells, before anything happens, which containers are made anew or restarted, and why.
func (e *Engine) sayCauses(pl *plan.Plan, sink event.Sink) {
	for _, c := range pl.Changes {
		text := map[plan.Action]string{plan.Replace: "Recreate", plan.Restart: "Restart"}[c.Action]
		if text == "" || c.ID.Kind != plan.KindContainer {
			continue
		}
		var why []string
		for _, r := range c.Reasons {
			why = append(why, redact(r).String())
		}
		e.say(sink, event.Event{Project: pl.Project, Kind: string(c.ID.Kind), Name: c.Name, Service: c.ID.Name, Phase: event.Working, Text: text, Detail: strings.Join(why, "; ")})
	}
}

// redact takes the values out of a reason that may show a secret: those of variables with a telling name, and URLs with a
// password. That, and what, has changed is still said.
func redact(r plan.Reason) plan.Reason {
	_, name, isVariable := strings.Cut("."+r.Path, ".environment.") // it may be one of several specifications
	if isVariable && secret.Name(name) || secret.Value(r.From) || secret.Value(r.To) {
		for _, s := range []*string{&r.From, &r.To} {
			if *s != "" {
				*s = secret.Hidden
			}
		}
	}
	r.From, r.To = hideVariables(r.From), hideVariables(r.To)
	return r
}

// hideVariables hides those variables with a telling name that are inside of a value: of a list of hooks that is other as a whole.
func hideVariables(value string) string {
	if !strings.Contains(value, `"environment":{`) {
		return value
	}
	var v any
	dec := json.NewDecoder(strings.NewReader(value))
	dec.UseNumber()
	if dec.Decode(&v) != nil {
		return value
	}
	var hide func(v any)
	hide = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				hide(item)
			}
		case map[string]any:
			for key, item := range v {
				variables, ok := item.(map[string]any)
				for name := range variables {
					if ok && key == "environment" && secret.Name(name) {
						variables[name] = secret.Hidden
					}
				}
				hide(item)
			}
		}
	}
	hide(v)
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return secret.Hidden
	}
	return strings.TrimSuffix(out.String(), "\n")
}
