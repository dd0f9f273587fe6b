package monitor

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/proto"
)

// writeFile writes in one write(2) to a file that exists, and gives the errno itself.
func writeFile(path, text string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(text))
	return err
}

// oomKills reads the count of processes killed for memory: "oom_kill N" in memory.events of cgroup v2 and, since Linux
// 4.13, in memory.oom_control of v1. 0 when it cannot be known.
func oomKills(path string) int {
	if path == "" {
		return 0
	}
	b, err := readAt(unix.AT_FDCWD, path)
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte("oom_kill ")); ok {
			n, _ := strconv.Atoi(string(bytes.TrimSpace(rest)))
			return n
		}
	}
	return 0
}

// refusals is how often a process or thread was refused for the pids limit: "max N" in pids.events, which stays open for who leaves the host's paths.
type refusals struct {
	file   int // -1: it cannot be known
	before string
}

func openRefusals(c proto.Cgroup) refusals {
	for _, dir := range append([]string{c.V2}, c.V1...) {
		if dir == "" {
			continue
		}
		fd, err := unix.Open(dir+"/pids.events", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue // not the hierarchy that has it
		}
		r := refusals{file: fd}
		r.before = r.read()
		return r
	}
	return refusals{file: -1}
}

func (r refusals) read() string {
	var b [64]byte
	n, _ := unix.Pread(r.file, b[:], 0)
	return string(b[:max(n, 0)])
}

// more says whether there were any since it was opened.
func (r refusals) more() bool { return r.file >= 0 && r.read() != r.before }

func (r refusals) close() {
	if r.file >= 0 {
		unix.Close(r.file)
	}
}

// killCgroup ends what the init left behind in a pid namespace that is not its own, where the kernel does not.
func killCgroup(c proto.Cgroup) {
	if c.V2 != "" && writeFile(c.V2+"/cgroup.kill", "1") == nil { // Linux 5.14
		return
	}
	dirs := c.V1
	if c.V2 != "" {
		dirs = append([]string{c.V2}, dirs...)
	}
	// Processes may fork between reading and killing; a few rounds end all but a fork bomb, which the
	// pids limit ends.
	for range 16 {
		alive := 0
		for _, dir := range dirs {
			b, err := os.ReadFile(dir + "/cgroup.procs")
			if err != nil {
				continue
			}
			for line := range bytes.Lines(b) {
				if pid, err := strconv.Atoi(string(bytes.TrimSpace(line))); err == nil && pid > 0 {
					alive++
					_ = unix.Kill(pid, unix.SIGKILL)
				}
			}
		}
		if alive == 0 {
			return
		}
	}
}

// reapOrphans waits until all that the init left behind, which came to us as their subreaper, are gone. A process that the
// kernel cannot end now (state D) is not waited for longer than limit.
//
// Precondition: the init is reaped.
func reapOrphans(limit time.Duration) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := unix.Wait4(-1, nil, 0, nil); err != nil && err != unix.EINTR { // ECHILD: no more
				return
			}
		}
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}
