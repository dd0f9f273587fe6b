package wording

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/lazyregexp"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/reconcile/plan"
	secret "github.com/stackrun/stack/spec/redact"
)

// contentDigest is the path of what stands for the content of a config or a secret.
var contentDigest = lazyregexp.New(`(^|[. ])(configs|secrets)\[\d+\]\.digest$`)

// Redact takes the values out of a reason that may show a secret: those of variables with a telling name, URLs with a
// password, and digests of secrets, from which a short one can be guessed. That, and what, has changed is still said. Of a config's digest there is as much as of an image's id.
func Redact(r plan.Reason) plan.Reason {
	if m := contentDigest.FindStringSubmatch(r.Path); m != nil {
		for _, s := range []*string{&r.From, &r.To} {
			switch {
			case *s == "":
			case m[2] == "secrets":
				*s = secret.Hidden
			default:
				*s = objectid.Short(strings.Trim(*s, `"`))
			}
		}
		return r
	}
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

// Discreet is text without what looks like a secret in it: errors quote logs.
func Discreet(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i], _ = secret.Line(l)
	}
	return strings.Join(lines, "\n")
}

// Changes are copies of list whose reasons show no secret. Never nil.
func Changes(list []plan.Change) []plan.Change {
	out := []plan.Change{}
	for _, c := range list {
		c.Reasons = slices.Clone(c.Reasons)
		for i, r := range c.Reasons {
			c.Reasons[i] = Redact(r)
		}
		out = append(out, c)
	}
	return out
}
