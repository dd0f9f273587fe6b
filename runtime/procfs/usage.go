package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// hasEnded is the error of a file of a process that is no more.
func hasEnded(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL)
}

// HostMemory is how much memory this host has, bytes.
func HostMemory() (uint64, error) {
	var s unix.Sysinfo_t
	if err := unix.Sysinfo(&s); err != nil {
		return 0, fmt.Errorf("cannot read how much memory this host has: sysinfo: %w", err)
	}
	return uint64(s.Totalram) * uint64(s.Unit), nil
}

// Traffic is how many bytes the interfaces in the network namespace of process pid have received and sent, lo excepted. Of a process that has ended it is nothing.
func Traffic(pid int) (received, sent uint64, err error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/net/dev")
	if err != nil && !hasEnded(err) {
		return 0, 0, err
	}
	return parseNetDev(text)
}

// parseNetDev adds up what the interfaces of proc_pid_net(5)'s dev have received and sent, lo excepted.
func parseNetDev(text []byte) (received, sent uint64, err error) {
	for line := range strings.Lines(string(text)) {
		// "  eth0: 1296 16 0 0 0 0 0 0 816 8 0 …": bytes come first of what is received, and ninth, of what is sent. Two lines are the header.
		name, rest, ok := strings.Cut(line, ":")
		f := strings.Fields(rest)
		if !ok || strings.TrimSpace(name) == "lo" {
			continue
		}
		if len(f) < 9 {
			return 0, 0, fmt.Errorf("%q has %d fields, expected 9 or more", strings.TrimSpace(line), len(f))
		}
		in, err := strconv.ParseUint(f[0], 10, 64)
		if err != nil {
			return 0, 0, err
		}
		out, err := strconv.ParseUint(f[8], 10, 64)
		if err != nil {
			return 0, 0, err
		}
		received, sent = received+in, sent+out
	}
	return received, sent, nil
}

// IO is how many bytes pids, and the children that they have waited for, have had read from devices and written to them. Of one that has ended it is nothing.
func IO(pids []int) (read, written uint64, err error) {
	for _, pid := range pids {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/io")
		if err != nil && !hasEnded(err) { // not there either: a kernel that does not count it (CONFIG_TASK_IO_ACCOUNTING)
			return 0, 0, err
		}
		in, out, err := parseProcessIO(text)
		if err != nil {
			return 0, 0, fmt.Errorf("/proc/%d/io: %w", pid, err)
		}
		read, written = read+in, written+out
	}
	return read, written, nil
}

// parseProcessIO reads proc_pid_io(5). What was written to a file that was removed before the device had it never came there.
func parseProcessIO(text []byte) (read, written uint64, err error) {
	var cancelled uint64
	for line := range bytes.Lines(text) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		into := map[string]*uint64{"read_bytes": &read, "write_bytes": &written, "cancelled_write_bytes": &cancelled}[string(key)]
		if into == nil {
			continue
		}
		if *into, err = strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 64); err != nil {
			return 0, 0, err
		}
	}
	return read, written - min(written, cancelled), nil
}
