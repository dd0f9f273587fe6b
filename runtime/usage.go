package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/runtime/process"
)

// Usage reads what a container uses that runs or is paused. ErrConflict when it does neither.
func (d *Driver) Usage(ctx context.Context, id string) (process.Usage, error) {
	c, err := d.records.Config(id)
	if err != nil {
		return process.Usage{}, err
	}
	l, err := d.runs.Running(ctx, id, "read what is used by")
	if err != nil {
		return process.Usage{}, err
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return process.Usage{}, fmt.Errorf("cannot read the clock: clock_gettime(CLOCK_MONOTONIC): %w", err)
	}
	counted, err := d.cgroups.Usage(id)
	if err != nil {
		return process.Usage{}, err
	}
	u := process.Usage{
		Clock: time.Duration(now.Nano()), CPU: counted.CPU, Memory: counted.Memory, InactiveCache: counted.InactiveCache, MemoryLimit: counted.MemoryLimit, Pids: counted.Pids,
		Read: counted.Read, Written: counted.Written,
	}
	if host, err := hostMemory(); err != nil {
		return process.Usage{}, err
	} else if u.MemoryLimit == 0 || u.MemoryLimit > host {
		u.MemoryLimit = host
	}
	if !counted.IO {
		if u.Read, u.Written, err = d.processIO(id); err != nil {
			return process.Usage{}, fmt.Errorf("cannot read what container %.12s reads and writes: %w", id, err)
		}
	}
	if c.OwnNetwork() {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(l.Init().Pid) + "/net/dev")
		if err != nil && !hasEnded(err) {
			return process.Usage{}, fmt.Errorf("cannot read what container %.12s sends and receives: %w", id, err)
		}
		if u.Received, u.Sent, err = parseNetDev(text); err != nil {
			return process.Usage{}, fmt.Errorf("cannot read what container %.12s sends and receives: %w", id, err)
		}
	}
	if !l.Init().Alive() { // and another process may have had its number
		return process.Usage{}, errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot read what is used by container %.12s: it is not running", id))
	}
	return u, nil
}

// hasEnded is the error of a file of a process that is no more.
func hasEnded(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL)
}

func hostMemory() (uint64, error) {
	var s unix.Sysinfo_t
	if err := unix.Sysinfo(&s); err != nil {
		return 0, fmt.Errorf("cannot read how much memory this host has: sysinfo: %w", err)
	}
	return uint64(s.Totalram) * uint64(s.Unit), nil
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

// processIO is what the processes of id have had read and written, with the children that they have waited for.
func (d *Driver) processIO(id string) (read, written uint64, err error) {
	pids, err := d.cgroups.Processes(id)
	if err != nil {
		return 0, 0, err
	}
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
