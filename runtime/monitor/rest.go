package monitor

import (
	"math"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/dormant"
	"github.com/stackrun/stack/runtime/proto"
	"github.com/stackrun/stack/runtime/sealed"
)

// A monitor that has nothing to do executes the program of package dormant, which waits for what it would wait for, and executes this one again when it comes.
// It stays the same process, with its child and its files; what it knows is behind that program in the same file. See docs/adr/0088-a-monitor-at-rest.md.

// restAfter is how long a monitor has had nothing to do when it goes to rest. To go and to be woken takes some 3 ms of processor time, so one that is woken soon
// waits for twice as long the next time, and at most for longestQuiet.
const (
	restAfter    = 2 * time.Second
	longestQuiet = time.Minute
)

// attend waits for the end of the init. It goes to rest, and does not return then, as soon as there was nothing to do for the time of quiet.
//
// Precondition: the container is settled.
func (m *monitor) attend(quiet time.Duration) {
	if !m.ownPids() || dormant.Program() == nil { // orphans of a pid namespace that is not its own come to us at any time
		<-m.init.ended
		return
	}
	clock := time.NewTicker(quiet)
	defer clock.Stop()
	for before := m.streams.count(); ; {
		select {
		case <-m.init.ended:
			return
		case <-clock.C:
		}
		if moved := m.streams.count(); moved != before {
			before = moved
			continue
		}
		m.rest(quiet)
	}
}

// count is how often the streams have had something to do.
func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.moved
}

// rest goes to rest. It returns if there is something to do, or to be told, after all, or the kernel would not have it.
func (m *monitor) rest(quiet time.Duration) {
	if m.unheard = m.unheard || ready(proto.FDReport, unix.POLLRDHUP); !m.unheard {
		return // somebody listens, and wants to hear of the end
	}
	// From here to execve nobody reads or accepts anything, or takes the init's status. Who holds one of these has something to do.
	for _, mu := range []interface {
		TryLock() bool
		Unlock()
	}{&m.streams.mu, &m.server.mu, &m.init.mu} {
		if !mu.TryLock() {
			return
		}
		defer mu.Unlock()
	}
	if m.init.reaped || m.server.serving > 0 || len(m.server.clients) > 0 {
		return
	}
	state, ok := m.handover(quiet)
	if !ok {
		return
	}
	p, ok := prepareRest(state)
	if ok {
		onFirstThread(p.execute, 8)
	}
	p.undo()
}

// handover is what the next program has to know. ok is false when it cannot be told.
//
// Precondition: the mutexes of streams and of server.
func (m *monitor) handover(quiet time.Duration) (r *proto.Rest, ok bool) {
	b := *m.b
	b.Filesystems = nil // they are mounted, and passwords of servers may be in them
	r = &proto.Rest{
		Work: m.n, B: &b, Status: m.status, Init: m.init.pidfd,
		Listener: m.server.fd, Input: -1, Master: -1, Output: [2]int{-1, -1}, Log: proto.RestLog{Dir: -1, File: -1},
		Begun: time.Now(), Quiet: quiet,
	}
	s := &m.streams
	if s.lost {
		return nil, false
	}
	if s.input != nil && s.input != s.master {
		r.Input = s.inputFD
	}
	for _, o := range s.output {
		switch {
		case o.ended:
		case o.file == s.master:
			r.Master = o.fd
		case o.frame == proto.FrameStderr:
			r.Output[1] = o.fd
		default:
			r.Output[0] = o.fd
		}
	}
	if m.log != nil {
		h, ok := m.log.Handover()
		if !ok {
			return nil, false
		}
		r.Log = proto.RestLog(h)
	}
	return r, true
}

// files are the descriptors that stay open.
func files(r *proto.Rest) (all []*int) {
	for _, fd := range []*int{&r.Init, &r.Listener, &r.Input, &r.Master, &r.Output[0], &r.Output[1], &r.Log.Dir, &r.Log.File} {
		if *fd >= 0 {
			all = append(all, fd)
		}
	}
	return all
}

// awaited are those of files that something can come to.
func awaited(r *proto.Rest) (all []int) {
	for _, fd := range []int{r.Init, r.Listener, r.Master, r.Output[0], r.Output[1]} {
		if fd >= 0 {
			all = append(all, fd)
		}
	}
	return all
}

// repose is a rest that is about to begin.
type repose struct {
	work  int
	kept  []int       // descriptors that stay
	own   []int       // those of the dormant program
	moved map[int]int // from a number that the dormant program needs, to one of kept
}

// prepareRest makes what the dormant program starts with.
func prepareRest(r *proto.Rest) (p *repose, ok bool) {
	p = &repose{work: r.Work, moved: map[int]int{}}
	for _, fd := range files(r) {
		if *fd >= dormant.Events && *fd < proto.FirstOtherFD {
			low, err := unix.FcntlInt(uintptr(*fd), unix.F_DUPFD_CLOEXEC, proto.FDReport+1)
			if err != nil {
				return p, false
			}
			p.moved[*fd], *fd = low, low
			if low >= dormant.Events {
				return p, false
			}
		}
		p.kept = append(p.kept, *fd)
	}
	events, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil || !p.place(events, dormant.Events) {
		return p, false
	}
	for _, fd := range awaited(r) {
		if err := unix.EpollCtl(dormant.Events, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN}); err != nil {
			return p, false
		}
	}
	program, err := sealed.Program("stack-init", append(dormant.Program(), r.Encode()...))
	if err != nil || !p.place(program, proto.DormantFD(p.work)) {
		return p, false
	}
	own, err := unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	return p, err == nil && p.place(own, proto.ProgramFD(p.work))
}

// place gives the descriptor fd the number to, if that is nobody's or was moved. It takes fd.
func (p *repose) place(fd, to int) bool {
	if fd == to { // it has it by chance, but is not to stay
		_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
		p.own = append(p.own, to)
		return err == nil
	}
	defer unix.Close(fd)
	if _, moved := p.moved[to]; !moved {
		if _, err := unix.FcntlInt(uintptr(to), unix.F_GETFD, 0); err != unix.EBADF {
			return false
		}
	}
	p.own = append(p.own, to)
	return unix.Dup3(fd, to, 0) == nil
}

// execute returns if it cannot.
func (p *repose) execute() {
	for _, fd := range p.kept {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	}
	// Nobody is at the other end. What is opened when it is awake again must not get this number, by which reports go out.
	_ = unix.Dup3(0, proto.FDReport, 0)
	env := append([]string{dormant.Path + "=" + pathOf(proto.ProgramFD(p.work)), dormant.Name + "=" + proto.SettledName(p.work)}, proto.Environ()...)
	// What is not ignored here goes to a handler of Go's, which the next program has not got.
	var before unix.Sigset_t
	if unix.PthreadSigmask(unix.SIG_SETMASK, &allSignals, &before) != nil {
		return
	}
	_ = unix.Exec(pathOf(proto.DormantFD(p.work)), []string{"stack-init", proto.ModeMonitor}, env)
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
}

var allSignals = unix.Sigset_t{Val: [16]uint64{math.MaxUint64}} // there are 64

func pathOf(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// undo has everything as it was before.
func (p *repose) undo() {
	for _, fd := range p.own {
		unix.Close(fd)
	}
	for _, fd := range p.kept {
		unix.CloseOnExec(fd)
	}
	for number, fd := range p.moved { // the same open file: who waits for it in the poller goes on
		_ = unix.Dup3(fd, number, unix.O_CLOEXEC)
		unix.Close(fd)
	}
}

// onFirstThread calls f on the first thread of the process, if one of tries goroutines comes to run there. When another thread executes a program the first has ended
// before that begins, and who looks at the process meanwhile sees that it has (proc_pid_stat(5), state Z).
func onFirstThread(f func(), tries int) {
	runtime.LockOSThread() // so that the next goroutine gets another one
	defer runtime.UnlockOSThread()
	if unix.Gettid() == unix.Getpid() {
		f()
		return
	}
	if tries == 0 {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		onFirstThread(f, tries-1)
	}()
	<-done
}
