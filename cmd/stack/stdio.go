package main

import (
	"context"
	"io"
	"os"
	"syscall"

	"github.com/stackrun/stack/cmd/stack/terminal"
	"github.com/stackrun/stack/runtime"
)

// session is the user's terminal or pipes, lent to a process in a container.
type session struct {
	io         runtime.IO
	rows, cols uint16
	restore    func() // undoes raw mode; call before anything is printed
}

// interactiveTTY says whether a process is to get a terminal: both ends of ours are one, unless -T.
func (a *app) interactiveTTY(noTTY bool) bool {
	return !noTTY && terminal.Of(a.in) != nil && terminal.Of(a.out) != nil
}

// openSession lends stdin (if it is to), stdout and stderr. With a tty ours is raw until restore, and its
// size is told; without, SIGINT and SIGTERM go to the process, and a third one ends the command.
func (a *app) openSession(ctx context.Context, tty, stdin bool, cancel context.CancelFunc) (*session, error) {
	s := &session{io: runtime.IO{Stdout: a.out, Stderr: a.err}, restore: func() {}}
	if stdin {
		s.io.Stdin = io.Reader(a.in)
	}
	if !tty {
		a.proxySignals(s, cancel)
		return s, nil
	}
	t := terminal.Of(a.in)
	restore, err := t.Raw()
	if err != nil {
		return nil, err
	}
	if rows, cols, ok := t.Size(); ok {
		s.rows, s.cols = uint16(rows), uint16(cols)
	}
	sizes := make(chan runtime.WinSize, 1)
	changed, stop := terminal.Resizes()
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-changed:
				if rows, cols, ok := t.Size(); ok {
					select {
					case sizes <- runtime.WinSize{Rows: uint16(rows), Cols: uint16(cols)}:
					case <-done:
						return
					}
				}
			case <-done:
				return
			}
		}
	}()
	s.io.Resize = sizes
	// In raw mode Ctrl-C is a byte. What arrives as a signal was sent to us: leave, with the terminal as it was.
	before := a.interrupts.handle(nil)
	a.interrupts.handle(func(sig os.Signal) { restore(); before(sig) })
	closed := false
	s.restore = func() {
		if closed {
			return
		}
		closed = true
		close(done)
		stop()
		restore()
		a.interrupts.handle(before)
	}
	return s, nil
}

// proxySignals sends SIGINT and SIGTERM on. A process that does not end by two gets no third: the command ends.
func (a *app) proxySignals(s *session, cancel context.CancelFunc) {
	signals := make(chan syscall.Signal, 4)
	s.io.Signals = signals
	n := 0
	before := a.interrupts.handle(nil)
	a.interrupts.handle(func(sig os.Signal) {
		if n++; n > 2 {
			cancel()
			before(sig)
			return
		}
		if sig, ok := sig.(syscall.Signal); ok {
			select {
			case signals <- sig:
			default:
			}
		}
	})
	s.restore = func() { a.interrupts.handle(before) }
}
