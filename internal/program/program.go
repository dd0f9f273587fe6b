// Package program is about the file of the running program: the pages of it that are mapped count as memory of the process.
package program

import (
	"bytes"
	"iter"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/kernelfile"
)

// What Release reads into: on a stack it would make that grow, which stays.
var (
	mu   sync.Mutex
	link [1024]byte
	room [8 << 10]byte // the program's own mappings are at the lowest addresses: the first lines
)

// Release lets go of the pages of the program's file that nobody has written to, nor can, and returns how many bytes are not mapped any more. They stay in the
// page cache; what is needed again costs a minor fault for every sixteen pages. It allocates no more
// than the names of two files: a monitor that calls it wants to be small.
func Release() (released int) {
	mu.Lock()
	defer mu.Unlock()
	n, err := unix.Readlink("/proc/self/exe", link[:])
	if err != nil {
		return 0
	}
	maps, err := kernelfile.Read("/proc/self/smaps", room[:])
	if err != nil {
		return 0
	}
	for from, to := range readOnly(maps, link[:n]) {
		// A private mapping that nobody has written to, nor can: the kernel reads the same from the file again (madvise(2), MADV_DONTNEED). Not by
		// unix.Madvise, which takes a slice of Go's.
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); errno == 0 {
			released += int(to - from)
		}
	}
	return released
}

// readOnly are the private mappings of file in smaps, proc_pid_smaps(5), that cannot be written and of which no page is other than the file's: what the dynamic
// linker has relocated was made read-only after that (-buildmode=pie), and would be gone. One that is cut is none.
func readOnly(smaps, file []byte) iter.Seq2[uintptr, uintptr] {
	return func(yield func(from, to uintptr) bool) {
		var from, to uintptr // of the last mapping; 0 = it will not do
		for {
			line, rest, whole := bytes.Cut(smaps, []byte{'\n'})
			if !whole {
				return
			}
			smaps = rest
			if value, ok := bytes.CutPrefix(line, []byte("Anonymous:")); ok {
				if to != 0 && bytes.Equal(bytes.TrimSpace(value), []byte("0 kB")) && !yield(from, to) {
					return
				}
				continue
			}
			// address perms offset dev inode path; or another "Key: value" of it
			var field [5][]byte
			for i := range field {
				field[i], line, _ = bytes.Cut(line, []byte{' '})
			}
			if bytes.HasSuffix(field[0], []byte{':'}) {
				continue
			}
			from, to = 0, 0
			perms := field[1]
			if !bytes.Equal(bytes.TrimLeft(line, " "), file) || len(perms) != 4 || perms[1] != '-' || perms[3] != 'p' {
				continue
			}
			low, high, _ := bytes.Cut(field[0], []byte{'-'})
			first, err1 := strconv.ParseUint(string(low), 16, 64)
			end, err2 := strconv.ParseUint(string(high), 16, 64)
			if err1 == nil && err2 == nil && first < end {
				from, to = uintptr(first), uintptr(end)
			}
		}
	}
}
