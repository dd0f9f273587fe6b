package runtime

import (
	"sync"
	"time"
)

// spare is a child that has been started before there is work for it: the next start, or exec, does not wait for the start of a
// program. There is one, made after a start, so that a daemon that starts nothing has none. It ends a while after the last container is deleted,
// when the Driver is closed, and with the daemon, however that ends: it sees it hang up.
type spare struct {
	mu      sync.Mutex
	waiting *process
	making  bool
	closed  bool
	makers  sync.WaitGroup
	retired *time.Timer // of retireSoon; nil = nobody has asked
}

// spareTime is how long the spare outlives the last container: after `down` the host is as it was, but one `run` after the other finds it.
const spareTime = time.Second

// child is a child that waits for hand: the spare, or a new one.
func (d *Driver) child() (*process, error) {
	s := &d.spare
	s.mu.Lock()
	p := s.take()
	s.mu.Unlock()
	if p == nil {
		return d.spawn()
	}
	if p.ended() { // somebody has killed it
		p.abort()
		return d.spawn()
	}
	return p, nil
}

// take takes the spare away, nil when there is none. Precondition: mu is held.
func (s *spare) take() *process {
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

// replenish makes a spare if there is none, without waiting for it.
func (d *Driver) replenish() {
	s := &d.spare
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting != nil || s.making || s.closed {
		return
	}
	s.making = true
	s.makers.Go(func() {
		p, err := d.spawn() // who needs one will see the error
		s.mu.Lock()
		defer s.mu.Unlock()
		s.making = false
		if err == nil {
			s.waiting = p
		}
	})
}

// close ends the spare, and waits for that.
func (s *spare) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.makers.Wait()
	s.retire()
}

// ended says whether the process has ended.
func (p *process) ended() bool {
	over := true
	if c, err := p.pidfd.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) { over = ended(int(fd)) })
	}
	return over
}
