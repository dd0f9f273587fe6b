package plan

import "time"

// Debt is a start that somebody has promised a container: it is stopped to be started again, or a command starts it. It says against which run it was
// promised, so that nothing has to be written down when the start is made: a container that has started since is owed nothing, whatever has become of that run.
type Debt struct {
	Run     time.Time // when the run began that the container had last when this was promised; zero = it had not run, or was not there
	Unknown bool      // which run that was: an old program has promised it
	Killed  time.Time // when the run began that a user has killed since; zero = none. What was not promised and is killed has this alone.
}

// CalledOff says whether a user has killed the last run of the container after all that was promised, so that no start is owed. started is as of Due.
func (d Debt) CalledOff(started time.Time) bool {
	return d.Paid(started) && d.Killed.Equal(started)
}

// Due says whether the start has not been made yet. started is when the container's last run began, zero = it has not run.
func (d Debt) Due(started time.Time) bool { return !d.Paid(started) }

// Paid says whether the start has been made. started is as of Due.
func (d Debt) Paid(started time.Time) bool {
	return !d.Unknown && !started.IsZero() && !started.Equal(d.Run)
}

// Debts are such promises, by container. The zero value has none, and can be read.
type Debts map[ID]Debt

// Due says whether container id is owed a start that nobody has made yet. started is as of Debt.Due.
func (d Debts) Due(id ID, started time.Time) bool {
	debt, owed := d[id]
	return owed && debt.Due(started)
}

// Paid says whether container id was owed a start and has had it. started is as of Debt.Due.
func (d Debts) Paid(id ID, started time.Time) bool {
	debt, owed := d[id]
	return owed && debt.Paid(started)
}

// Interrupts are the containers that p, which was made of have, stops to have them, or others in their places, run again.
func (p *Plan) Interrupts(have *Observed) Debts {
	starts := p.starts()
	debts := Debts{}
	for _, s := range p.Steps {
		if op, ok := s.Op.(StopContainer); ok && starts[s.For] {
			if _, already := debts[s.For]; !already {
				run, _ := have.StartedAt(op.ContainerID)
				debts[s.For] = Debt{Run: run}
			}
		}
	}
	return debts
}

// Updated are the containers that rolling updates of p replace.
func (p *Plan) Updated() map[ID]bool {
	updated := map[ID]bool{}
	for _, s := range p.Steps {
		if s.Update != "" && s.For.Kind == KindContainer {
			updated[s.For] = true
		}
	}
	return updated
}

// Starts are all containers that p, which was made of have, starts.
func (p *Plan) Starts(have *Observed) Debts {
	debts := p.Interrupts(have)
	last := map[ID]time.Time{}
	for _, c := range have.Containers {
		if !c.OneOff {
			last[c.id()] = c.StartedAt
		}
	}
	for id := range p.starts() {
		if _, already := debts[id]; !already {
			debts[id] = Debt{Run: last[id]}
		}
	}
	return debts
}

// starts are the containers for which p has a StartContainer.
func (p *Plan) starts() map[ID]bool {
	starts := map[ID]bool{}
	for _, s := range p.Steps {
		if _, ok := s.Op.(StartContainer); ok {
			starts[s.For] = true
		}
	}
	return starts
}

// done says that c was started by the command that is carried on, which had promised it begun, that it has come to its end by itself, and that its policy leaves
// it at that: that is what the caller of the command would have seen, and a start of it would be another one. So is one that a user has killed since.
func (c *ContainerState) done(begun Debts) bool {
	return c.CalledOff(begun) || c.Status == StatusExited && c.Lost == "" && !c.Policy.Again(c.ExitCode) && begun.Paid(c.id(), c.StartedAt)
}

// CalledOff says whether c has ended because a user killed it after the command that is carried on, which had promised it begun, had nothing more to do with it.
func (c *ContainerState) CalledOff(begun Debts) bool {
	debt, ok := begun[c.id()]
	return ok && c.Status == StatusExited && debt.CalledOff(c.StartedAt)
}
