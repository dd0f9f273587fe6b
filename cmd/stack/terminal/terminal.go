// Package terminal is what the command knows of the terminal that it runs on: whether there is
// one, its size, and raw mode that is always undone.
package terminal

import (
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Terminal is an open file that is a terminal.
type Terminal struct{ file *os.File }

// Of is the terminal behind v, an io.Reader or io.Writer; nil when there is none.
func Of(v any) *Terminal {
	f, ok := v.(*os.File)
	if !ok || f == nil || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return &Terminal{f}
}

// Size is rows and columns; false when they are not known.
func (t *Terminal) Size() (rows, cols int, ok bool) {
	cols, rows, err := term.GetSize(int(t.file.Fd()))
	return rows, cols, err == nil && rows > 0 && cols > 0
}

// Raw puts the terminal into raw mode. restore undoes it and may be called more than once.
func (t *Terminal) Raw() (restore func(), err error) {
	before, err := term.MakeRaw(int(t.file.Fd()))
	if err != nil {
		return nil, err
	}
	var once sync.Once
	return func() { once.Do(func() { term.Restore(int(t.file.Fd()), before) }) }, nil //nolint:errcheck // the terminal is gone
}

// Resizes tells of every change of size until stop is called.
func Resizes() (changed <-chan os.Signal, stop func()) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, unix.SIGWINCH)
	return ch, func() { signal.Stop(ch) }
}
