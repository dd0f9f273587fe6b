package child

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/runtime/identity"
	"github.com/stackrun/stack/runtime/initprog"
)

// Pool gives out children, and has one that waits for work, the spare: the next start, or exec, does not wait for the start of a program. It is the monitor of a
// container that has just ended or else one that was started ahead, a while after a start, so that a daemon that starts nothing has none. It ends a while after
// the last container is deleted, when the pool is closed, and with the daemon, however that ends: it sees it hang up.
type Pool struct {
	init  *os.File // the init program, sealed
	empty emptyNamespace

	mu      sync.Mutex
	waiting *Child
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

// Open makes a pool of children that run the init program. fs.ErrNotExist when that is not embedded.
func Open() (*Pool, error) {
	program, err := initprog.Open()
	if err != nil {
		return nil, err
	}
	defer program.Close()
	// Above the descriptors that spawn hands to a child: there the number must not be taken by another file.
	fd, err := unix.FcntlInt(program.Fd(), unix.F_DUPFD_CLOEXEC, firstSafeFD)
	if err != nil {
		return nil, fmt.Errorf("cannot keep the init program open: %w", err)
	}
	return &Pool{init: os.NewFile(uintptr(fd), "stack-init")}, nil
}

// Take is a child that waits for Hand, the caller's from then on: the spare, or a new one. used says that it may have been a monitor before. One that has holds in its memory
// what it was told of that container, and clones of it are in the pid namespace of the next: processes that may look into those must not be there yet.
func (s *Pool) Take(used bool) (*Child, error) {
	s.mu.Lock()
	s.stay()
	var p *Child
	if used || s.waiting != nil && s.waiting.Work == 0 {
		p = s.take()
	}
	s.mu.Unlock()
	if p == nil {
		return s.spawn()
	}
	if identity.Ended(p.Pidfd) { // somebody has killed it
		p.Abort()
		return s.spawn()
	}
	return p, nil
}

// take takes the spare away, nil when there is none. Precondition: mu is held.
func (s *Pool) take() *Child {
	s.stay()
	p := s.waiting
	s.waiting = nil
	return p
}

// stay calls RetireSoon off. Precondition: mu is held.
func (s *Pool) stay() {
	if s.retired != nil {
		s.retired.Stop()
		s.retired = nil
	}
}

// RetireSoon ends the spare after spareTime, and calls then, if nobody takes a child before.
func (s *Pool) RetireSoon(then func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if s.retired != nil {
		s.retired.Stop()
	}
	s.retired = time.AfterFunc(spareTime, func() {
		s.retire()
		then()
	})
}

func (s *Pool) retire() {
	s.mu.Lock()
	p := s.take()
	s.mu.Unlock()
	if p != nil {
		p.Abort()
	}
}

// ReplenishSoon is replenish after spareDelay, if no monitor is free by then.
func (s *Pool) ReplenishSoon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.due == nil {
		s.due = time.AfterFunc(spareDelay, func() { s.replenish(true) })
	} else {
		s.due.Reset(spareDelay)
	}
}

// ReplenishAfterExec is replenish, for the next exec, after answerTime.
func (s *Pool) ReplenishAfterExec() {
	time.AfterFunc(answerTime, func() { s.replenish(false) })
}

// replenish makes a spare if there is none, without waiting for it. used says that one that has been a monitor before will do.
func (s *Pool) replenish(used bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting != nil && (used || s.waiting.Work == 0) || s.making || s.closed {
		return
	}
	s.making = true
	s.makers.Go(func() {
		p, err := s.spawn() // who needs one will see the error
		s.mu.Lock()
		s.making = false
		before := s.waiting
		if err == nil {
			s.waiting = p
		}
		s.mu.Unlock()
		if err == nil && before != nil {
			before.Abort() // one that will not do
		}
	})
}

// Keep makes p, a monitor that is free, the spare; it is the caller's no more. Where there is one it ends.
func (s *Pool) Keep(p *Child) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		p.Abort()
		return
	}
	defer s.mu.Unlock()
	if s.waiting != nil || s.making {
		s.makers.Go(p.Abort)
		return
	}
	s.waiting = p
	if s.due != nil {
		s.due.Stop()
	}
	failpoint.Hit("runtime.end.kept")
}

// Waiting is the pid of the spare, 0 when there is none.
func (s *Pool) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == nil {
		return 0
	}
	return s.waiting.Pid
}

// Close ends the spare, and waits for that. Nobody takes a child from then on.
func (s *Pool) Close() error {
	s.mu.Lock()
	s.closed = true
	if s.due != nil {
		s.due.Stop()
	}
	s.mu.Unlock()
	s.makers.Wait()
	s.retire()
	s.empty.close()
	return s.init.Close()
}
