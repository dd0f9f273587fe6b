package plan

import "slices"

// StartOptions are what a user asks of a start. As for a restart, it needs no file.
type StartOptions struct {
	DependsOn map[string]map[string]Dependency // by service; a circle counts as none
	Services  []string                         // empty = all
	Begun     Debts                            // as of RestartOptions
}

// BuildStart starts those lasting containers that do not run, what they depend on first and ready. What they depend on is waited for whether it is
// asked for or not, and started only if it is. Precondition: as of BuildRestart.
func BuildStart(project string, have *Observed, opt StartOptions) *Plan {
	b, order, on := ofWhatIsThere(project, have, opt.DependsOn, nil)
	for _, name := range order {
		d := &decision{service: &Service{Name: name}}
		for _, c := range b.containersOf(name) {
			r := &replica{number: c.Replica, name: c.Name, have: c, action: NoOp, done: c.Status == StatusExited && c.ExitCode == 0}
			if (len(opt.Services) == 0 || slices.Contains(opt.Services, name)) && c.Status != StatusRunning && c.Status != StatusPaused && !c.done(opt.Begun) {
				r.action, r.reasons = Start, []Reason{{Path: "`stack start` asked for it"}}
			}
			d.replicas = append(d.replicas, r)
		}
		b.take(d)
	}
	return b.carriedOut(on)
}
