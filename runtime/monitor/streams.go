package monitor

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/logs"
	"github.com/stackrun/stack/runtime/proto"
)

const (
	// readSize is what one read(2) takes; the kernel's pipe holds pipeSize. Larger ones did not
	// make a million lines any quicker.
	readSize = 64 << 10
	pipeSize = 256 << 10
)

// streams are the monitor's ends of the container's stdio.
type streams struct {
	pumps   sync.WaitGroup
	waiting []func() // pumps, until begin
	begun   bool

	mu      sync.Mutex
	buf     []byte   // shared by all pumps, under mu
	input   *os.File // write end of stdin, or the terminal's master; nil: closed or /dev/null
	inputFD int      // of input
	master  *os.File // terminal's master
	output  []*outlet
	size    *unix.Winsize // a resize that came before the terminal
	coming  chan struct{} // closed when the terminal is there or cannot come any more; nil: there is none to come
	logged  bool          // the log is closed
	lost    bool          // something of it was lost once
	tell    bool          // the status is on record, and says it when the log cannot be written
	moved   int           // how often there was something to do
}

// outlet is the monitor's end of a stream that the container writes to.
type outlet struct {
	file  *os.File
	fd    int // of file
	name  string
	frame byte
	ended bool // under streams.mu; fd is another file's then, or nobody's
}

// childFiles are the container's ends.
type childFiles struct{ child [3]int }

func (c *childFiles) close() {
	if c == nil {
		return
	}
	for i, fd := range c.child {
		if fd >= 0 {
			unix.Close(fd)
			c.child[i] = -1
		}
	}
}

// openStreams makes the stdio that the init gets. With a terminal that is /dev/null, until it has made one.
func (m *monitor) openStreams() (*childFiles, *proto.Failure) {
	c := &childFiles{[3]int{-1, -1, -1}}
	terminal := m.b.Spec.Process.Terminal
	if terminal {
		m.streams.coming = make(chan struct{})
	}
	for fd := range 3 {
		if err := m.openStream(c, fd, terminal); err != nil {
			c.close()
			return nil, platform("stdio", "open", "", err)
		}
	}
	return c, nil
}

func (m *monitor) openStream(c *childFiles, fd int, terminal bool) error {
	if terminal || fd == 0 && !m.b.StdinOpen {
		null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
		c.child[fd] = null
		return err
	}
	p, err := pipe()
	if err != nil {
		return err
	}
	if fd == 0 {
		c.child[0] = p[0]
		m.streams.input, m.streams.inputFD = pollable(p[1], "stdin"), p[1]
		return nil
	}
	c.child[fd] = p[1]
	_, _ = unix.FcntlInt(uintptr(p[0]), unix.F_SETPIPE_SZ, pipeSize) // more is refused when the user has too many
	m.streams.start(m, outletOf(fd, p[0]))
	return nil
}

// outletOf is our end of the container's descriptor as, 1 or 2.
func outletOf(as, fd int) *outlet {
	o := &outlet{fd: fd, name: logs.Stdout, frame: proto.FrameStdout}
	if as == 2 {
		o.name, o.frame = logs.Stderr, proto.FrameStderr
	}
	o.file = pollable(fd, o.name)
	return o
}

func pipe() ([2]int, error) {
	var p [2]int
	err := unix.Pipe2(p[:], unix.O_CLOEXEC)
	return p, err
}

// pollable makes our end non-blocking, so that no thread waits in it. The flag belongs to the open file, and the
// container's end of a pipe is another one.
func pollable(fd int, name string) *os.File {
	_ = unix.SetNonblock(fd, true)
	return os.NewFile(uintptr(fd), name)
}

// addTerminal takes the master of the terminal that boot has made.
func (s *streams) addTerminal(m *monitor, master int) {
	o := outletOf(1, master)
	s.mu.Lock()
	s.master, s.input, s.inputFD = o.file, o.file, o.fd
	if s.size != nil {
		_ = unix.IoctlSetWinsize(master, unix.TIOCSWINSZ, s.size)
	}
	s.mu.Unlock()
	close(s.coming)
	s.start(m, o)
}

func (s *streams) start(m *monitor, o *outlet) {
	s.output = append(s.output, o)
	pump := func() {
		s.pump(m, o)
		o.file.Close()
	}
	if !s.begun {
		s.waiting = append(s.waiting, pump)
		return
	}
	s.pumps.Go(pump)
}

// begin lets the pumps run. Until then there is the main thread alone.
func (s *streams) begin() {
	s.begun = true
	for _, pump := range s.waiting {
		s.pumps.Go(pump)
	}
	s.waiting = nil
}

// pump moves what the container writes into the log and to the clients, until the last writer is gone (for a
// terminal, that is EIO).
func (s *streams) pump(m *monitor, o *outlet) {
	conn, err := o.file.SyscallConn()
	if err != nil {
		return
	}
	for ended := false; !ended; {
		err := conn.Read(func(fd uintptr) bool {
			var again bool
			ended, again = s.read(m, int(fd), o)
			return !again
		})
		if err != nil {
			break // closed by wait
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o.ended = true
	if m.log != nil {
		m.log.End(o.name)
	}
}

// read takes what is there. The buffer is one for all streams: an idle stream holds none.
func (s *streams) read(m *monitor, fd int, o *outlet) (ended, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buf == nil {
		s.buf = make([]byte, readSize)
	}
	n, err := unix.Read(fd, s.buf)
	switch {
	case err == unix.EINTR:
		return false, false
	case err == unix.EAGAIN:
		return false, true
	case err != nil || n == 0:
		return true, false
	}
	s.moved++
	data := s.buf[:n]
	if m.log != nil {
		m.log.Write(o.name, time.Now(), data)
		s.tellLoss(m)
	}
	m.server.broadcast(o.frame, data)
	return false, false
}

// telling says that the status is on record.
func (s *streams) telling(m *monitor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell = true
	if m.log != nil {
		s.tellLoss(m)
	}
}

// tellLoss puts on record that the log cannot be written, or can again. The run directory is in memory, as a rule, and has
// room where the log's disk has none.
//
// Precondition: mu.
func (s *streams) tellLoss(m *monitor) {
	text := ""
	if n, why := m.log.Lost(); n > 0 {
		text, s.lost = why.Error(), true
	}
	if s.tell && text != m.status.LogError {
		m.status.LogError = text
		_ = replaceFile(m.runPath(proto.StatusName), m.status.JSON())
	}
}

// wait lets the pumps empty their pipes. After limit it cuts those off that somebody outside holds open.
func (s *streams) wait(limit time.Duration) {
	s.mu.Lock()
	if s.coming != nil && s.master == nil {
		close(s.coming) // boot has failed before it made the terminal
		s.coming = nil
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.pumps.Wait()
		close(done)
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return
	case <-timer.C:
	}
	for _, o := range s.output {
		_ = o.file.SetReadDeadline(time.Unix(1, 0))
	}
	<-done
}

// resize sets the terminal's size, or remembers it for the terminal to come.
func (s *streams) resize(rows, cols uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size = &unix.Winsize{Row: rows, Col: cols}
	if s.master != nil {
		if conn, err := s.master.SyscallConn(); err == nil {
			_ = conn.Control(func(fd uintptr) { _ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, s.size) })
		}
	}
}

// write gives a client's bytes to the container, and waits while it does not read them, or has no terminal yet: what is typed
// ahead is not lost.
func (s *streams) write(b []byte) error {
	s.mu.Lock()
	coming := s.coming
	s.mu.Unlock()
	if coming != nil {
		<-coming
	}
	s.mu.Lock()
	f := s.input
	s.mu.Unlock()
	if f == nil {
		return os.ErrClosed
	}
	_, err := f.Write(b)
	return err
}

// closeInput ends stdin. A terminal has no end of its input.
func (s *streams) closeInput() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.input != nil && s.input != s.master {
		s.input.Close()
		s.input = nil
	}
}
