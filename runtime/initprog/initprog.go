// Package initprog carries the init program (cmd/stack-init) inside the stack binary and hands it
// out as a sealed memory file.
//
// A memory file, because a container's process can open /proc/<pid>/exe of whatever program starts
// it and, once that has ended, write to the file: CVE-2019-5736. What it finds here is a copy that
// no seal lets anybody change, and never the binary on disk. It is also small, where stack is
// large, and there is one copy in memory for all containers of a daemon.
package initprog

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
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
	return Seal(b)
}

// Seal puts a program into a memory file that nobody can change any more.
func Seal(program []byte) (*os.File, error) {
	fd, err := memfd()
	if err != nil {
		return nil, fmt.Errorf("cannot make a memory file for the init program: memfd_create: %w", err)
	}
	w := os.NewFile(uintptr(fd), "stack-init")
	defer w.Close()
	if _, err := w.Write(program); err != nil {
		return nil, fmt.Errorf("cannot write the init program to memory: %w", err)
	}
	seals := unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(w.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return nil, fmt.Errorf("cannot seal the init program: %w", err)
	}
	// Opened anew for reading: a file that is open for writing, sealed or not, cannot be executed
	// everywhere (ETXTBSY), and what is inherited should carry no more rights than needed.
	r, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", w.Fd()))
	if err != nil {
		return nil, fmt.Errorf("cannot open the init program in memory: %w", err)
	}
	return r, nil
}

func memfd() (int, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	// MFD_EXEC is there since Linux 6.3 and is wanted where vm.memfd_noexec=1; older kernels refuse the bit.
	fd, err := unix.MemfdCreate("stack-init", flags|unix.MFD_EXEC)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate("stack-init", flags)
	}
	if err != nil {
		return -1, err
	}
	return fd, unix.Fchmod(fd, 0o555)
}
