// Package daemonprog carries the daemon's program (cmd/stack-daemon) inside the stack binary and puts it where it can be run.
//
// It is large, and every command would pay for it at its start: for what its packages do before main, and for its pages. So the
// commands are a program without it (ADR 72), and this package is all that they have of it.
package daemonprog

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/stackrun/stack/runtime/sealed"
)

//go:embed all:bin
var files embed.FS

const (
	programFile = "bin/stack-daemon"
	versionFile = "bin/version" // written by the build behind the program
)

// Program is a daemon's program, to be run by a command of Version alone.
type Program struct {
	Version string
	size    int64
	content io.ReaderAt
}

// Carried is the program in this binary. The error wraps fs.ErrNotExist when stack was built without it.
func Carried() (*Program, error) {
	version, err := files.ReadFile(versionFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot find the daemon's program in this binary: %w; build stack with `make build`", fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	f, err := files.Open(programFile)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	content, ok := f.(io.ReaderAt) // embed.FS promises it
	if !ok {
		return nil, fmt.Errorf("cannot read %s in this binary at an offset", programFile)
	}
	return &Program{strings.TrimSpace(string(version)), info.Size(), content}, nil
}

// Size is how many bytes it has.
func (p *Program) Size() int64 { return p.size }

// read is all of it.
func (p *Program) read() io.Reader { return io.NewSectionReader(p.content, 0, p.size) }

// InMemory is a copy of it in memory, sealed, close-on-exec; it is run by "/proc/self/fd/<n>". It takes Size bytes for as long as somebody runs it.
func (p *Program) InMemory() (*os.File, error) {
	fd, err := sealed.Copy("stack-daemon", p.read())
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "stack-daemon"), nil
}
