package plan

import "slices"

// StartOptions are what a user asks of a start. As for a restart, it needs no file.
type StartOptions struct {
	DependsOn map[string]map[string]Dependency // by service; a circle counts as none
	Services  []string                         // empty = all
	Begun     Debts                            // as of RestartOptions
}

// BuildStart starts those lasting containers that do not run, what they depend on first and ready. What those depend on that are asked for by name is started with them, as docker compose
// does, unless they run already. Precondition: as of BuildRestart.
func BuildStart(project string, have *Observed, opt StartOptions) *Plan {
	b, order, on := ofWhatIsThere(project, have, opt.DependsOn, nil)
	starts := func(c *ContainerState) bool {
		return c.Status != StatusRunning && c.Status != StatusPaused && !c.done(opt.Begun)
	}
	named := func(name string) bool { return len(opt.Services) == 0 || slices.Contains(opt.Services, name) }
	neededBy := map[string]string{} // of what is not named: who needs it
	for _, name := range slices.Backward(order) {
		if (named(name) || neededBy[name] != "") && slices.ContainsFunc(b.containersOf(name), starts) {
			for _, dep := range sortedKeys(on[name]) {
				if !named(dep) && neededBy[dep] == "" {
					neededBy[dep] = name
				}
			}
		}
	}
	for _, name := range order {
		why := Reason{Path: "`stack start` asked for it"}
		if user := neededBy[name]; user != "" {
			why = Reason{Path: user + ", which is started, depends on it"}
		}
		d := &decision{service: &Service{Name: name}}
		for _, c := range b.containersOf(name) {
			r := &replica{number: c.Replica, name: c.Name, have: c, action: NoOp, done: c.Status == StatusExited && c.ExitCode == 0}
			if (named(name) || neededBy[name] != "") && starts(c) {
				r.action, r.reasons = Start, []Reason{why}
			}
			d.replicas = append(d.replicas, r)
		}
		b.take(d)
	}
	return b.carriedOut(on)
}
