package runtime

import (
	"sync"
	"time"

	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/runtime/identity"
)

// spare is a child that waits for work: the next start, or exec, does not wait for the start of a program. There is one, the monitor of a
// container that has just ended or else one that was started ahead, a while after a start, so that a daemon that starts nothing has none. It ends a while after
// the last container is deleted, when the Driver is closed, and with the daemon, however that ends: it sees it hang up.
type spare struct {
	mu      sync.Mutex
	waiting *spawned
	making  bool
	closed  bool
	makers  sync.WaitGroup // and those who end one
	due     *time.Timer    // of replenishSoon; nil = not yet needed
	retired *time.Timer    // of retireSoon; nil = nobody has asked
}

// spareTime is how long the spare outlives the last container: after `down` the host is as it was, but one `run` after the other finds it.
const spareTime = time.Second

// spareDelay is how long after a start one is made for the next: a container that ends before leaves its own monitor, and what its end gives to do
// is not held up by the start of a program that nobody waits for. An exec after an up, typed by a script, comes a little later.
const spareDelay = 10 * time.Millisecond

// answerTime is how long the end of an exec takes to be with who has asked for it, which the start of the next program is not to hold up. The next command takes
// longer to get here.
const answerTime = time.Millisecond

// child is a child that waits for hand: the spare, or a new one. used says that it may have been a monitor before. One that has holds in its memory
// what it was told of that container, and clones of it are in the pid namespace of the next: processes that may look into those must not be there yet.
func (d *Driver) child(used bool) (*spawned, error) {
	s := &d.spare
	s.mu.Lock()
	var p *spawned
	if used || s.waiting != nil && s.waiting.Work == 0 {
		p = s.take()
	}
	s.mu.Unlock()
	if p == nil {
		return d.spawn()
	}
	if identity.Ended(p.pidfd) { // somebody has killed it
		p.abort()
		return d.spawn()
	}
	return p, nil
}

// take takes the spare away, nil when there is none. Precondition: mu is held.
func (s *spare) take() *spawned {
	if s.retired != nil {
		s.retired.Stop()
		s.retired = nil
	}
	p := s.waiting
	s.waiting = nil
	return p
}

// retireSoon ends the spare if nobody takes it before.
func (s *spare) retireSoon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.retired != nil {
		s.retired.Stop()
	}
	s.retired = time.AfterFunc(spareTime, s.retire)
}

func (s *spare) retire() {
	s.mu.Lock()
	p := s.take()
	s.mu.Unlock()
	if p != nil {
		p.abort()
	}
}

// replenishSoon is replenish after spareDelay, if no monitor is free by then.
func (d *Driver) replenishSoon() {
	s := &d.spare
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.due == nil {
		s.due = time.AfterFunc(spareDelay, func() { d.replenish(true) })
	} else {
		s.due.Reset(spareDelay)
	}
}

// replenishAfterExec is replenish, for the next exec, after answerTime.
func (d *Driver) replenishAfterExec() {
	time.AfterFunc(answerTime, func() { d.replenish(false) })
}

// replenish makes a spare if there is none, without waiting for it. used says that one that has been a monitor before will do.
func (d *Driver) replenish(used bool) {
	s := &d.spare
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting != nil && (used || s.waiting.Work == 0) || s.making || s.closed {
		return
	}
	s.making = true
	s.makers.Go(func() {
		p, err := d.spawn() // who needs one will see the error
		s.mu.Lock()
		s.making = false
		before := s.waiting
		if err == nil {
			s.waiting = p
		}
		s.mu.Unlock()
		if err == nil && before != nil {
			before.abort() // one that will not do
		}
	})
}

// keep makes p, a monitor that is free, the spare. Where there is one it ends.
func (d *Driver) keep(p *spawned) {
	s := &d.spare
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		p.abort()
		return
	}
	defer s.mu.Unlock()
	if s.waiting != nil || s.making {
		s.makers.Go(p.abort)
		return
	}
	s.waiting = p
	if s.due != nil {
		s.due.Stop()
	}
	failpoint.Hit("runtime.end.kept")
}

// close ends the spare, and waits for that.
func (s *spare) close() {
	s.mu.Lock()
	s.closed = true
	if s.due != nil {
		s.due.Stop()
	}
	s.mu.Unlock()
	s.makers.Wait()
	s.retire()
}
