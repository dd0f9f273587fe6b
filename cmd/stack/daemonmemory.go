package main

import (
	"bufio"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// settleAfter is how old a daemon gets before it gives back what only its start, and the first command that waited for it, needed.
const settleAfter = 2 * time.Second

// settleMemory gives back what the start needed, and returns how many bytes of the program's file are not mapped any more. A daemon has read
// all of its init program to copy it, initialised every package, and adopted what it found: 16 MiB of the file, of which it goes on using
// a quarter. Those pages stay in the page cache; one that is needed again costs a minor fault.
func settleMemory() (released int) {
	debug.FreeOSMemory()
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return 0
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return 0
	}
	defer maps.Close()
	for _, m := range readOnlyMappings(maps, exe) {
		// A private mapping that nobody can write to: the kernel reads the same from the file again (madvise(2), MADV_DONTNEED). Not by
		// unix.Madvise, which takes a slice of Go's.
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED); errno == 0 {
			released += int(m.to - m.from)
		}
	}
	return released
}

type mapping struct{ from, to uintptr }

// readOnlyMappings are the private mappings of file in maps, proc_pid_maps(5), that cannot be written.
func readOnlyMappings(maps io.Reader, file string) (all []mapping) {
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 6 || strings.Join(f[5:], " ") != file || len(f[1]) != 4 || f[1][1] != '-' || f[1][3] != 'p' {
			continue
		}
		low, high, _ := strings.Cut(f[0], "-")
		from, err1 := strconv.ParseUint(low, 16, 64)
		to, err2 := strconv.ParseUint(high, 16, 64)
		if err1 == nil && err2 == nil && from < to {
			all = append(all, mapping{uintptr(from), uintptr(to)})
		}
	}
	return all
}
