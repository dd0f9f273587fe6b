package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Kill sends SIGKILL to every process in the cgroups of id, those forked meanwhile included, and
// returns when that is sent; Remove waits for their end. Nothing there = success.
func (p *Parent) Kill(ctx context.Context, id string) error {
	if p.host.v2 != "" {
		// Linux 5.14. Atomic against forks.
		err := writeFile(filepath.Join(p.host.v2, p.name, id, "cgroup.kill"), "1")
		if err == nil {
			return nil
		}
		// Not there: an older kernel, or the cgroup is gone, as between the open and the write. EOPNOTSUPP: threaded.
		if !gone(err) && err != unix.EOPNOTSUPP {
			return fmt.Errorf("cannot kill the processes of cgroup %s/%s: %w", p.name, id, err)
		}
	}
	// Elsewhere: kill what is seen until nothing is. Who wants this atomic on v1 kills the init of the
	// pid namespace first, as Driver does; here it is for what shares the host's pid namespace.
	delay := 100 * time.Microsecond
	for {
		n := 0
		for _, point := range p.everyPoint() {
			pids, err := allProcs(filepath.Join(point, p.name, id))
			if err != nil {
				return fmt.Errorf("cannot list the processes of cgroup %s/%s: %w", p.name, id, err)
			}
			for _, pid := range pids {
				if unix.Kill(pid, unix.SIGKILL) == nil && !zombie(pid) {
					n++
				}
			}
		}
		if n == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("cannot kill the processes of cgroup %s/%s: %d are left: %w", p.name, id, n, ctx.Err())
		case <-time.After(delay):
			delay = min(2*delay, 20*time.Millisecond)
		}
	}
}

func zombie(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	i := strings.LastIndexByte(string(b), ')')
	return i > 0 && i+2 < len(b) && (b[i+2] == 'Z' || b[i+2] == 'X')
}

// Populated says whether a process of id lives.
func (p *Parent) Populated(id string) (bool, error) {
	for _, point := range p.everyPoint() {
		pids, err := allProcs(filepath.Join(point, p.name, id))
		if err != nil {
			return false, fmt.Errorf("cannot list the processes of cgroup %s/%s: %w", p.name, id, err)
		}
		if len(pids) > 0 {
			return true, nil
		}
	}
	return false, nil
}

// Processes lists the processes of id, each once. Not there = none.
func (p *Parent) Processes(id string) ([]int, error) {
	var all []int
	for _, point := range p.everyPoint() { // one that moves itself in one hierarchy is where it was in the others
		pids, err := allProcs(filepath.Join(point, p.name, id))
		if err != nil {
			return nil, fmt.Errorf("cannot list the processes of cgroup %s/%s: %w", p.name, id, err)
		}
		all = append(all, pids...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// procs reads cgroup.procs of dir. Not there = none.
func procs(dir string) ([]int, error) {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var pids []int
	for f := range strings.FieldsSeq(string(b)) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			return nil, err
		}
		if pid > 0 { // 0: a process outside this pid namespace, see cgroup-v2.rst
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// allProcs is procs of dir and everything below.
func allProcs(dir string) ([]int, error) {
	pids, err := procs(dir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if gone(err) {
		return pids, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() {
			more, err := allProcs(filepath.Join(dir, e.Name()))
			if err != nil {
				return nil, err
			}
			pids = append(pids, more...)
		}
	}
	return pids, nil
}

// gone says that err is that of a cgroup which is not there: ENOENT, or ENODEV when it was removed between open and read.
func gone(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV)
}
