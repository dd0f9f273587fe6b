// Package procfs reads what /proc says of processes, and changes nothing.
package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/kernelfile"
	"github.com/stackrun/stack/runtime/process"
)

// Processes is what /proc says of pids, by pid. One that has ended, or ends meanwhile, is left out.
func Processes(pids []int) ([]process.Info, error) {
	booted, err := bootTime()
	if err != nil {
		return nil, err
	}
	out := make([]process.Info, 0, len(pids))
	line := make([]byte, lineRoom(len(pids)))
	for _, pid := range pids {
		p, err := readProcess(pid, booted, line)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ESRCH):
		case err != nil:
			return nil, err
		default:
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b process.Info) int { return a.Pid - b.Pid })
	return out, nil
}

// userHZ is what the kernel counts times for people in, on every architecture that Go knows: include/asm-generic/param.h.
const userHZ = 100

// bootTime is when the clock began from which the kernel tells the start of a process.
func bootTime() (time.Time, error) {
	var since unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &since); err != nil {
		return time.Time{}, fmt.Errorf("clock_gettime(CLOCK_BOOTTIME): %w", err)
	}
	return time.Now().Add(-time.Duration(since.Nano())), nil
}

// maxLine is how many bytes of a command line are read. It is the program's own memory: it can be as long as that, and shared by many processes. Where there
// are many, each has its part of maxLines, but minLine.
const (
	minLine  = 256
	maxLine  = 64 << 10
	maxLines = 4 << 20
)

func lineRoom(processes int) int {
	return min(max(maxLines/max(processes, 1), minLine), maxLine)
}

// readProcess reads what /proc says of pid; line is room for its command line, of which it is the bound.
func readProcess(pid int, booted time.Time, line []byte) (process.Info, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return process.Info{}, err
	}
	p, err := parseProcessStat(stat, booted)
	if err != nil {
		return p, fmt.Errorf("cannot read %s/stat: %w", dir, err)
	}
	// The owner of most files there is the effective user, but for a process that is not dumpable: then it is root, and status is right.
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return p, err
	}
	if p.UID, err = effectiveUID(status); err != nil {
		return p, fmt.Errorf("cannot read %s/status: %w", dir, err)
	}
	room := len(line)
	if line, err = kernelfile.Read(dir+"/cmdline", line); err != nil {
		return p, err
	}
	p.Args = parseCmdline(line, len(line) == room)
	return p, nil
}

// parseCmdline reads proc_pid_cmdline(5); cut says that it may be the beginning only.
func parseCmdline(line []byte, cut bool) []string {
	text := strings.TrimRight(string(line), "\x00")
	if text == "" {
		return nil
	}
	if cut {
		text += "…"
	}
	return strings.Split(text, "\x00")
}

// parseProcessStat reads proc_pid_stat(5). The name, field 2, may hold anything, parentheses too.
func parseProcessStat(stat []byte, booted time.Time) (p process.Info, err error) {
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return p, errors.New("it has no name")
	}
	const first, last = 3, 22 // of those after the name; the start time is the last that we read
	f := strings.Fields(string(stat[end+1:]))
	if len(f) <= last-first {
		return p, fmt.Errorf("it has %d fields after the name, expected %d or more", len(f), last-first+1)
	}
	number := func(field int) (n int64) {
		if err == nil {
			n, err = strconv.ParseInt(f[field-first], 10, 64)
		}
		return n
	}
	if p.Pid, err = strconv.Atoi(strings.TrimSpace(string(stat[:open]))); err != nil {
		return p, err
	}
	p.Name, p.State, p.PPid = string(stat[open+1:end]), f[0], int(number(4))
	p.TTY = ttyName(uint64(number(7)))
	p.CPU = time.Duration(number(14)+number(15)) * time.Second / userHZ
	p.StartedAt = booted.Add(time.Duration(number(last)) * (time.Second / userHZ))
	return p, err
}

// ttyName is the name of a terminal's device number; those of other kinds than terminals in windows and consoles are "?".
func ttyName(dev uint64) string {
	if dev == 0 {
		return ""
	}
	// proc_pid_stat(5): the minor number is in bits 31 to 20 and 7 to 0, the major one in bits 15 to 8. Documentation/admin-guide/devices.txt.
	major, minor := dev>>8&0xff, dev&0xff|dev>>12&0xfff00
	switch {
	case major >= 136 && major <= 143:
		return fmt.Sprintf("pts/%d", (major-136)<<8|minor)
	case major == 4 && minor < 64:
		return fmt.Sprintf("tty%d", minor)
	case major == 4:
		return fmt.Sprintf("ttyS%d", minor-64)
	case major == 5 && minor == 1:
		return "console"
	}
	return "?"
}

// effectiveUID reads the second number of "Uid:", proc_pid_status(5).
func effectiveUID(status []byte) (int, error) {
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "Uid:"); ok {
			if f := strings.Fields(rest); len(f) >= 2 {
				return strconv.Atoi(f[1])
			}
		}
	}
	return 0, errors.New("it has no Uid")
}
