package plan

import (
	"fmt"
	"slices"
	"time"
)

// RestartOptions are what a user asks of a restart. It needs no file: the containers say what they depend on.
type RestartOptions struct {
	DependsOn map[string]map[string]Dependency // by service; a circle counts as none
	Services  []string                         // empty = all
	NoDeps    bool                             // leave those alone that depend on Services with restart: true
	Timeout   *time.Duration                   // of stops; nil = each container's own

	// Resume is the rest of a restart that was cut short: what runs was started again, or not stopped yet. Owed are the containers that it
	// has stopped, or was about to.
	Resume bool
	Owed   Debts
	Begun  Debts // the starts that it was to make: those that it has made are not made again
}

// BuildRestart stops lasting containers, dependents before what they depend on, and starts them again, what they depend on first and ready. One
// that does not run is started. A dependency that is not restarted itself is not waited for: its dependents have lived with it as it is until now.
//
// A plan of Build does the same with those that it restarts; the steps are made by the same functions. Precondition: of containers with
// one number, have has the one that commands mean.
func BuildRestart(project string, have *Observed, opt RestartOptions) *Plan {
	b, order, on := ofWhatIsThere(project, have, opt.DependsOn, opt.Timeout)
	opt.DependsOn = on
	for _, name := range order {
		b.take(b.restarted(name, opt))
	}
	return b.carriedOut(on)
}

// restarted decides about the containers of a service. Precondition: what it depends on is decided.
func (b *builder) restarted(name string, opt RestartOptions) *decision {
	why := Reason{Path: "`stack restart` asked for it"}
	named := len(opt.Services) == 0 || slices.Contains(opt.Services, name)
	follows := ""
	if !named && !opt.NoDeps {
		for _, dep := range sortedKeys(opt.DependsOn[name]) {
			if d := b.decided[dep]; d != nil && opt.DependsOn[name][dep].Restart {
				follows = dep
				why = Reason{Path: fmt.Sprintf("%s, which it depends on with restart: true, is restarted", dep)}
				break
			}
		}
	}
	d := &decision{service: &Service{Name: name}}
	for _, c := range b.containersOf(name) {
		owed := opt.Owed.Due(c.id(), c.StartedAt)
		switch {
		case !named && follows == "" && !(opt.Resume && owed):
			continue
		case opt.Resume && (c.Active() || c.done(opt.Begun)):
			continue
		case !named && !c.Active() && !owed: // nobody has asked for one that was down
			continue
		}
		r := &replica{number: c.Replica, name: c.Name, have: c, action: Start, reasons: []Reason{why}}
		switch {
		case opt.Resume:
			r.reasons = []Reason{cutShort}
		case c.Active():
			r.action = Restart
		}
		d.replicas = append(d.replicas, r)
	}
	return d
}

// cutShort is the reason for the start of a container that was stopped to be started again.
var cutShort = Reason{Path: "its restart was cut short"}
