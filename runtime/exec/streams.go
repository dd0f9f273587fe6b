package exec

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/stackrun/stack/runtime/process"

	"golang.org/x/sys/unix"
)

// streams connects the caller's IO with a child: three pipes, or a terminal's master once it is there.
type streams struct {
	caller process.IO
	theirs [3]*os.File // the child's ends; nil = /dev/null

	stdin          *os.File // our ends; nil = none
	stdout, stderr *os.File
	pty            *os.File

	outputs sync.WaitGroup
	ended   chan struct{} // closed by close

	mu  sync.Mutex
	err error // of the caller's writers
}

// linger is how long output is awaited after a process has ended while somebody else (a child that it left) holds
// its pipe open. What is in the pipe by then is delivered in any case.
const linger = 200 * time.Millisecond

func openStreams(caller process.IO, terminal bool) (_ *streams, err error) {
	s := &streams{caller: caller, ended: make(chan struct{})}
	if terminal {
		return s, nil
	}
	defer func() {
		if err != nil {
			s.closeTheirs()
			s.close()
		}
	}()
	if caller.Stdin != nil {
		if s.theirs[0], s.stdin, err = os.Pipe(); err != nil {
			return nil, err
		}
	}
	if caller.Stdout != nil {
		if s.stdout, s.theirs[1], err = os.Pipe(); err != nil {
			return nil, err
		}
	}
	if caller.Stderr != nil {
		if s.stderr, s.theirs[2], err = os.Pipe(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// terminal takes the master of the exec's terminal, and owns fd.
func (s *streams) terminal(fd int) error {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return fmt.Errorf("cannot use the terminal: %w", err)
	}
	s.pty = os.NewFile(uintptr(fd), "pty")
	return nil
}

// start begins to copy.
func (s *streams) start() {
	if s.pty != nil {
		s.copyOut(s.caller.Stdout, s.pty)
		if s.caller.Stdin != nil {
			go s.copyIn(s.pty)
		}
		if s.caller.Resize != nil {
			go s.resize()
		}
		return
	}
	s.copyOut(s.caller.Stdout, s.stdout)
	s.copyOut(s.caller.Stderr, s.stderr)
	if s.stdin != nil {
		go s.copyIn(s.stdin)
	}
}

func (s *streams) copyOut(to io.Writer, from *os.File) {
	if from == nil {
		return
	}
	if to == nil {
		to = io.Discard
	}
	s.outputs.Go(func() {
		if err := copyOutput(to, from); err != nil {
			s.mu.Lock()
			s.err = err
			s.mu.Unlock()
		}
	})
}

// copyOutput copies until the end of from, or until its deadline and then what is there without waiting. The error is
// the receiver's; the process is not held up by it: the rest is read and dropped.
func copyOutput(to io.Writer, from *os.File) error {
	var failed error
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if n > 0 && failed == nil {
			_, failed = to.Write(b[:n])
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			return errors.Join(failed, drain(to, from, b))
		default:
			// io.EOF, or EIO of a terminal that nobody has open any more.
			return failed
		}
	}
}

// drain reads what a pipe holds now. A pipe holds 64 KiB unless it was enlarged, to 1 MiB at most for those without
// CAP_SYS_RESOURCE, pipe(7): more is new output of a process that was left behind.
func drain(to io.Writer, from *os.File, b []byte) error {
	c, err := from.SyscallConn()
	if err != nil {
		return nil // closed
	}
	for total := 0; total < 1<<20; {
		var n int
		var rerr error
		if err := c.Control(func(fd uintptr) { n, rerr = unix.Read(int(fd), b) }); err != nil {
			return nil
		}
		if rerr == unix.EINTR {
			continue
		}
		if rerr != nil || n == 0 {
			return nil
		}
		if _, err := to.Write(b[:n]); err != nil {
			return err
		}
		total += n
	}
	return nil
}

// eot is what a terminal in its usual mode takes for the end of input, termios(3) VEOF.
const eot = 0x04

// copyIn feeds the child until the caller's Stdin ends. It stays in a Read that does not return: there is no way to call
// it back.
func (s *streams) copyIn(to *os.File) {
	io.Copy(to, s.caller.Stdin)
	if to == s.pty {
		to.Write([]byte{eot})
		return
	}
	to.Close()
}

func (s *streams) resize() {
	for {
		select {
		case size, ok := <-s.caller.Resize:
			if !ok {
				return
			}
			c, err := s.pty.SyscallConn()
			if err != nil {
				return
			}
			c.Control(func(fd uintptr) {
				unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Cols})
			})
		case <-s.ended:
			return
		}
	}
}

// finish delivers what the ended process wrote and returns the receiver's error, if any.
func (s *streams) finish() error {
	s.readUntil(time.Now().Add(linger))
	s.outputs.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// abandon stops copying at once.
func (s *streams) abandon() {
	s.readUntil(time.Unix(1, 0))
}

func (s *streams) readUntil(t time.Time) {
	for _, f := range []*os.File{s.stdout, s.stderr, s.pty} {
		if f != nil {
			f.SetReadDeadline(t)
		}
	}
}

func (s *streams) closeTheirs() {
	for i, f := range s.theirs {
		if f != nil {
			f.Close()
			s.theirs[i] = nil
		}
	}
}

// close lets go of our ends.
func (s *streams) close() {
	close(s.ended)
	for _, f := range []*os.File{s.stdin, s.stdout, s.stderr, s.pty} {
		if f != nil {
			f.Close()
		}
	}
}
