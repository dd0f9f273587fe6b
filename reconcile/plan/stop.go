package plan

import (
	"slices"
	"time"
)

// StopOptions are what a user asks of a stop. As for a restart, it needs no file.
type StopOptions struct {
	DependsOn map[string]map[string]Dependency // by service; a circle counts as none
	Services  []string                         // empty = all
	Timeout   *time.Duration                   // nil = each container's own
}

// BuildStop stops lasting containers, dependents before what they depend on. When one cannot be stopped, because its pre_stop fails say, what it depends on is not, and the others are. One that has
// ended has a step too, though nothing changes for who looks at it: it is not to be started again by its policy. One that never ran has none.
func BuildStop(project string, have *Observed, opt StopOptions) *Plan {
	b, order, on := ofWhatIsThere(project, have, opt.DependsOn, opt.Timeout)
	for _, name := range order {
		d := &decision{service: &Service{Name: name}}
		if len(opt.Services) == 0 || slices.Contains(opt.Services, name) {
			for _, c := range b.containersOf(name) {
				if c.Status != StatusCreated {
					d.replicas = append(d.replicas, &replica{number: c.Replica, name: c.Name, have: c, action: Stop, reasons: []Reason{{Path: "`stack stop` asked for it"}}})
				}
			}
		}
		b.take(d)
	}
	return b.carriedOut(on)
}
