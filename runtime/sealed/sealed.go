// Package sealed puts programs into memory files that nobody can change any more.
//
// A container's process can open /proc/<pid>/exe of whatever program starts it and, once that has ended, write to the file:
// CVE-2019-5736. What it finds there is a copy that no seal lets anybody change, and never the binary on disk.
package sealed

import (
	"fmt"
	"io"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/rawfd"
)

// Program is the descriptor of a memory file called name that holds program, read-only, close-on-exec. It is started by it, as
// /proc/self/fd/<n> or by execveat(2). It makes system calls and nothing else: it serves between clone and execve.
func Program(name string, program []byte) (int, error) {
	w, err := memfd(name)
	if err != nil {
		return -1, fmt.Errorf("cannot make a memory file for %s: memfd_create: %w", name, err)
	}
	defer unix.Close(w)
	if err := rawfd.WriteAll(w, program); err != nil {
		return -1, fmt.Errorf("cannot write %s to memory: %w", name, err)
	}
	return seal(w, name)
}

// Copy is Program of what program gives until its end.
func Copy(name string, program io.Reader) (int, error) {
	w, err := memfd(name)
	if err != nil {
		return -1, fmt.Errorf("cannot make a memory file for %s: memfd_create: %w", name, err)
	}
	defer unix.Close(w)
	buf := make([]byte, 256<<10)
	for {
		n, err := program.Read(buf)
		if werr := rawfd.WriteAll(w, buf[:n]); werr != nil {
			return -1, fmt.Errorf("cannot write %s to memory: %w", name, werr)
		}
		if err == io.EOF {
			return seal(w, name)
		}
		if err != nil {
			return -1, fmt.Errorf("cannot read %s: %w", name, err)
		}
	}
}

// seal ends all writing to w, and opens it for reading.
func seal(w int, name string) (int, error) {
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	_, err := unix.FcntlInt(uintptr(w), unix.F_ADD_SEALS, seals)
	// The kernel finds a page in use that its own housekeeping holds for a moment (mm/memfd.c, memfd_wait_for_pins: it waits 150 ms itself).
	for range 20 {
		if err != unix.EBUSY {
			break
		}
		_, err = unix.FcntlInt(uintptr(w), unix.F_ADD_SEALS, seals)
	}
	if err != nil {
		return -1, fmt.Errorf("cannot seal %s: %w", name, err)
	}
	// Opened anew for reading: a file that is open for writing, sealed or not, cannot be executed
	// everywhere (ETXTBSY), and what is inherited should carry no more rights than needed.
	r, err := unix.Open("/proc/self/fd/"+strconv.Itoa(w), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("cannot open %s in memory: %w", name, err)
	}
	return r, nil
}

func memfd(name string) (int, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	// MFD_EXEC is there since Linux 6.3 and is wanted where vm.memfd_noexec=1; older kernels refuse the bit.
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_EXEC)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return -1, err
	}
	return fd, unix.Fchmod(fd, 0o555)
}
