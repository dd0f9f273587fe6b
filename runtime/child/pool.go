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
// container that has just ended or else one that was started ahead, a while after a start, so that a daemon that starts nothing has none. It ends when nobody has taken it
// for a while, for it has more memory than all monitors at rest, and the next is started when somebody connects, who may need it. It ends a while after
// the last container is deleted, when the pool is closed, and with the daemon, however that ends: it sees it hang up.
type Pool struct {
	init  *os.File // the init program, sealed
	empty emptyNamespace

	// Patience is how long the spare waits to be taken. It is set before anything else is done.
	Patience time.Duration

	mu      sync.Mutex
	waiting *Child
	making  bool
	closed  bool
	makers  sync.WaitGroup // and those who end one
	due     *time.Timer    // of replenishSoon; nil = not yet needed
	retired *time.Timer    // of retireSoon; nil = nobody has asked
	patient *time.Timer    // ends the spare; nil = there is none
	unused  bool           // the last spare has ended because nobody took it, and nobody is expected since
	taken   time.Time      // when somebody took a child
}

// usualPatience is longer than one command takes to come after the other in a script, and shorter than people take.
const usualPatience = 2 * time.Second

// spareTime is how long the spare outlives the last container: after `down` the host is as it was, but one `run` after the other finds it.
const spareTime = time.Second

// spareDelay is how long after a start one is made for the next: a container that ends before leaves its own monitor, and what its end gives to do
// is not held up by the start of a program that nobody waits for. An exec after an up, typed by a script, comes a little later.
const spareDelay = 10 * time.Millisecond

// answerTime is how long the end of an exec takes to be with who has asked for it, which the start of the next program is not to hold up. The next command takes
// longer to get here.
const answerTime = time.Millisecond

// Open makes a pool of children that run the init program. fs.ErrNotExist when that is not embedded; an error that names the limit when this process may not have as many files open as that takes.
func Open() (*Pool, error) {
	var limit unix.Rlimit // the soft one is as the hard one: Go raises it
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err == nil && limit.Cur < LeastFiles {
		return nil, fmt.Errorf("cannot start containers: the daemon may have only %d files open at once (RLIMIT_NOFILE), and it takes at least %d, for some are kept above those that containers begin with; raise the hard limit of who starts it (ulimit -Hn %[2]d, or LimitNOFILE= of its service)",
			limit.Cur, LeastFiles)
	}
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
	return &Pool{init: os.NewFile(uintptr(fd), "stack-init"), Patience: usualPatience}, nil
}

// Take is a child that waits for Hand, the caller's from then on: the spare, or a new one. used says that it may have been a monitor before. One that has holds in its memory
// what it was told of that container, and clones of it are in the pid namespace of the next: processes that may look into those must not be there yet.
func (s *Pool) Take(used bool) (*Child, error) {
	s.mu.Lock()
	s.stay()
	now := time.Now()
	if now.Sub(s.taken) < s.Patience { // who comes one after the other
		s.unused = false
	}
	s.taken = now
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
	p := s.waiting
	s.waiting = nil
	if s.patient != nil {
		s.patient.Stop()
		s.patient = nil
	}
	return p
}

// put makes p the spare. Precondition: mu is held, and there is none, or it was taken.
func (s *Pool) put(p *Child) {
	s.waiting, s.unused = p, false
	s.patient = time.AfterFunc(s.Patience, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.waiting == p && !s.closed { // else it was taken just now
			s.take()
			s.unused = true
			s.makers.Go(p.Abort)
		}
	})
}

// Expect says that somebody may soon take a child: one is started if the last has ended because nobody did.
func (s *Pool) Expect() {
	s.mu.Lock()
	unused := s.unused
	s.unused = false
	s.mu.Unlock()
	if unused {
		s.replenish(false)
	}
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
	s.stay()
	s.unused = false // nobody who connects has something to start a process in
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

// ReplenishAfterExec is replenish, for the next exec, after answerTime, if one is expected.
func (s *Pool) ReplenishAfterExec() { time.AfterFunc(answerTime, s.replenishExpected) }

// replenishExpected is replenish, but for a probe that comes now and then: that needs no spare, and leaves none behind.
func (s *Pool) replenishExpected() {
	s.mu.Lock()
	unused := s.unused
	s.mu.Unlock()
	if !unused {
		s.replenish(false)
	}
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
		var before *Child
		if err == nil {
			before = s.take()
			s.put(p)
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
	s.put(p)
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
