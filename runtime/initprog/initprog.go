// Package initprog carries the init program (cmd/stack-init) inside the stack binary and hands it
// out as a sealed memory file.
// It is small, where stack is large, and there is one copy in memory for all containers of a daemon.
package initprog

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/stackrun/stack/runtime/sealed"
)

//go:embed all:bin
var files embed.FS

const name = "bin/stack-init"

// Open returns the program, sealed, read-only, close-on-exec. Start it by "/proc/self/fd/<n>". Every call
// makes a copy in memory of its own: a daemon calls it once and keeps the file.
//
// The error wraps fs.ErrNotExist when stack was built without it.
func Open() (*os.File, error) {
	b, err := files.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot find the init program in this binary: %w; build it first with `make init`, or build stack with `make build`", fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	fd, err := sealed.Program("stack-init", b)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "stack-init"), nil
}
