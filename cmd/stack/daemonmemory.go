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

// restAfter is how long nobody has been connected when a daemon gives back what the last commands needed.
const restAfter = 2 * time.Second

// garbagePercent is how much garbage may lie on what a working daemon uses before it is collected (GOGC). What it uses is a few MiB: with Go's 100, a
// sixth of the processor time of its commands was collections. What it holds when it rests does not depend on it.
const garbagePercent = 400

// useMemory prepares for commands.
func useMemory() { debug.SetGCPercent(garbagePercent) }

// restMemory gives back what the last commands needed: garbage, and pages of the program's file.
func restMemory() {
	debug.FreeOSMemory()
	releaseProgram()
}

// releaseProgram lets go of the pages of the program's file, and returns how many bytes are not mapped any more. A daemon that starts has read all of its
// init program to copy it, initialised every package, and adopted what it found: 16 MiB of the file, of which it goes on using a quarter. One up, ps and exec
// map as much again. The pages stay in the page cache; those that are needed again cost a minor fault for every sixteen of them.
func releaseProgram() (released int) {
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
