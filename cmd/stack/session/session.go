// Package session has the verbs that lend the user's terminal or pipes to a process in a container: attach, exec and run.
package session

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/terminal"
	"github.com/stackrun/stack/runtime/process"
)

// session is the user's terminal or pipes, lent to a process in a container.
type session struct {
	io         process.IO
	rows, cols uint16
	// begin hands the terminal and the signals over. Until then Ctrl-C is the command's, and lines printed end as usual.
	begin   func() error
	restore func() // undoes begin; call before anything is printed
}

// interactiveTTY says whether a process is to get a terminal: both ends of ours are one, unless -T.
func interactiveTTY(run *cli.Run, noTTY bool) bool {
	return !noTTY && terminal.Of(run.In) != nil && terminal.Of(run.Out) != nil
}

// openSession lends stdin (if it is to), stdout and stderr. From begin until restore, ours is raw if there is a tty; if there
// is none, SIGINT and SIGTERM go to the process, and a third one ends the command.
func openSession(run *cli.Run, tty, stdin bool, cancel context.CancelFunc) *session {
	s := &session{io: process.IO{Stdout: run.Out, Stderr: run.Err}}
	if stdin {
		s.io.Stdin = io.Reader(run.In)
	}
	var take func() (func(), error)
	if tty {
		take = lendTerminal(run, s)
	} else {
		take = proxySignals(run, s, cancel)
	}
	var once sync.Once
	restore := func() {}
	s.begin = func() (err error) {
		once.Do(func() { restore, err = take() })
		return err
	}
	s.restore = func() {
		once.Do(func() {}) // too late to begin
		restore()
		restore = func() {}
	}
	return s
}

// lendTerminal tells the size of ours now; take makes it raw and tells its changes.
func lendTerminal(run *cli.Run, s *session) (take func() (restore func(), err error)) {
	t := terminal.Of(run.In)
	if rows, cols, ok := t.Size(); ok {
		s.rows, s.cols = uint16(rows), uint16(cols)
	}
	sizes := make(chan process.WinSize, 1)
	s.io.Resize = sizes
	return func() (func(), error) {
		run.Interrupts.Listen() // whatever ends the command, the terminal is as it was
		cooked, err := t.Raw()
		if err != nil {
			return func() {}, fmt.Errorf("cannot use the terminal: %w", err)
		}
		done := make(chan struct{})
		changed, stop := terminal.Resizes()
		go tellSizes(t, changed, sizes, done)
		// In raw mode Ctrl-C is a byte. What arrives as a signal was sent to us: leave, with the terminal as it was.
		before := run.Interrupts.Handle(nil)
		run.Interrupts.Handle(func(sig os.Signal) { cooked(); before(sig) })
		return func() {
			close(done)
			stop()
			cooked()
			run.Interrupts.Handle(before)
		}, nil
	}
}

// follow tells the size of t now, and its changes until stop.
func (s *session) follow(t *terminal.Terminal) (stop func()) {
	if rows, cols, ok := t.Size(); ok {
		s.rows, s.cols = uint16(rows), uint16(cols)
	}
	sizes, done := make(chan process.WinSize, 1), make(chan struct{})
	s.io.Resize = sizes
	changed, unsubscribe := terminal.Resizes()
	go tellSizes(t, changed, sizes, done)
	return func() {
		close(done)
		unsubscribe()
	}
}

// tellSizes sends t's size at every change until done.
func tellSizes(t *terminal.Terminal, changed <-chan os.Signal, sizes chan<- process.WinSize, done <-chan struct{}) {
	for {
		select {
		case <-changed:
			rows, cols, ok := t.Size()
			if !ok {
				continue
			}
			select {
			case sizes <- process.WinSize{Rows: uint16(rows), Cols: uint16(cols)}:
			case <-done:
				return
			}
		case <-done:
			return
		}
	}
}

// proxySignals makes take send SIGINT and SIGTERM on. A process that does not end by two gets no third: the command ends.
func proxySignals(run *cli.Run, s *session, cancel context.CancelFunc) (take func() (restore func(), err error)) {
	signals := make(chan syscall.Signal, 4)
	s.io.Signals = signals
	return func() (func(), error) {
		n := 0
		before := run.Interrupts.Handle(nil)
		run.Interrupts.Handle(func(sig os.Signal) {
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
		return func() { run.Interrupts.Handle(before) }, nil
	}
}

// announced calls first before the first byte goes through.
type announced struct {
	io.Writer
	first func()
}

func (w announced) Write(p []byte) (int, error) {
	w.first()
	return w.Writer.Write(p)
}
