package reconcile

import (
	"regexp"
	"strings"

	"github.com/stackrun/stack/reconcile/plan"
)

// sayCauses tells, before anything happens, which containers are made anew or restarted, and why.
func (e *Engine) sayCauses(pl *plan.Plan, sink Sink) {
	for _, c := range pl.Changes {
		text := map[plan.Action]string{plan.Replace: "Recreate", plan.Restart: "Restart"}[c.Action]
		if text == "" || c.ID.Kind != plan.KindContainer {
			continue
		}
		var why []string
		for _, r := range c.Reasons {
			why = append(why, redact(r).String())
		}
		e.say(sink, Event{Project: pl.Project, Kind: string(c.ID.Kind), Name: c.Name, Service: c.ID.Name, Phase: Working, Text: text, Detail: strings.Join(why, "; ")})
	}
}

// sensitive are names of variables that hold what a log of progress, often kept by CI, must not show.
var sensitive = regexp.MustCompile(`(?i)PASS|SECRET|TOKEN|KEY|CREDENTIAL|AUTH|DSN|PRIVATE`)

// withCredentials is a URL that carries a password.
var withCredentials = regexp.MustCompile(`://[^/\s"@]*:[^/\s"@]*@`)

// redact takes the values out of a reason that may show a secret: those of variables with a telling name, and URLs with a
// password. That, and what, has changed is still said.
func redact(r plan.Reason) plan.Reason {
	name, isVariable := strings.CutPrefix(r.Path, "environment.")
	if isVariable && sensitive.MatchString(name) || withCredentials.MatchString(r.From+r.To) {
		hide := func(s *string) {
			if *s != "" {
				*s = "(hidden)"
			}
		}
		hide(&r.From)
		hide(&r.To)
	}
	return r
}
