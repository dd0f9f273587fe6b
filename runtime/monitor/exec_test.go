package monitor_test

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/proto"
)

// exec runs a process in c and returns its exit, or the failure, with what it wrote.
func (c *container) exec(b proto.ExecBootstrap) (exit *proto.Exit, failure *proto.Failure, out string) {
	c.t.Helper()
	r, w, err := os.Pipe()
	must(c.t, err)
	defer r.Close()
	pid, reports := startProgram(c.t, proto.WorkExec, &b, null(c.t), w, w)
	w.Close()
	defer unix.Close(reports)
	defer func() {
		var ws unix.WaitStatus
		unix.Wait4(pid, &ws, 0, nil)
	}()
	all, err := io.ReadAll(r)
	must(c.t, err)
	for {
		var rep proto.Report
		_, err := proto.Receive(reports, &rep)
		if err == io.EOF {
			c.t.Fatalf("exec ended without a word")
		}
		must(c.t, err)
		switch rep.Type {
		case proto.ReportFailed:
			return nil, rep.Failure, string(all)
		case proto.ReportExited:
			return rep.Exit, nil, string(all)
		}
	}
}

func (c *container) execOf(status *proto.Status, script string) proto.ExecBootstrap {
	p := *c.Spec.Process
	p.Args = []string{"/bin/sh", "-c", script}
	return proto.ExecBootstrap{Pid: status.Pid, PidStart: status.PidStart, Process: p, Cgroup: c.Cgroup}
}

// nothingOf fails when a child of this process, alive or dead, is in the pid namespace of container, other than its init.
func nothingOf(t *testing.T, container int) {
	t.Helper()
	want, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", container))
	must(t, err)
	children, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
	must(t, err)
	for _, pid := range strings.Fields(string(children)) {
		if pid == strconv.Itoa(container) {
			continue
		}
		b, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			continue
		}
		if got, err := os.Readlink("/proc/" + pid + "/ns/pid"); got == want || err != nil && strings.Contains(string(b), ") Z ") {
			t.Errorf("left behind: %s", b)
		}
	}
}

func TestExec(t *testing.T) {
	c := newContainer(t, image(t), "echo up; exec sleep 1000")
	c.cgroups()
	c.start()
	status := c.await(proto.ReportStarted).Status

	t.Run("joins everything", func(t *testing.T) {
		exit, failure, out := c.exec(c.execOf(status, "hostname; ps; cat /proc/self/cgroup; for n in mnt pid net ipc uts cgroup; do readlink /proc/1/ns/$n; readlink /proc/self/ns/$n; done | sort | uniq -c; ls -l /proc/self/fd; exit 3"))
		t.Log(out)
		if failure != nil || exit.Code != 3 {
			t.Fatalf("exit %+v failure %v", exit, failure)
		}
		for _, want := range []string{"box\n", "sleep 1000"} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q", want)
			}
		}
	})
	// The score is there before the process that could fork: not sometimes.
	t.Run("OOM score", func(t *testing.T) {
		for range 30 {
			b, score := c.execOf(status, "cat /proc/self/oom_score_adj"), 300
			b.Process.OOMScoreAdj = &score
			if exit, failure, out := c.exec(b); failure != nil || exit.Code != 0 || out != "300\n" {
				t.Fatalf("exit %+v failure %v out %q", exit, failure, out)
			}
		}
		b, score := c.execOf(status, "cat /proc/self/oom_score_adj"), -1000 // maybe more than this machine lets us
		b.Process.OOMScoreAdj = &score
		if exit, failure, out := c.exec(b); failure != nil || exit.Code != 0 {
			t.Errorf("exit %+v failure %v out %q", exit, failure, out)
		}
	})
	t.Run("timeout", func(t *testing.T) {
		b := c.execOf(status, "echo begin; sleep 1000")
		b.Timeout = 50 * time.Millisecond
		exit, failure, out := c.exec(b)
		if failure != nil || exit.Code != 137 || exit.Signal != 9 || out != "" && out != "begin\n" { // it may not have come to that
			t.Errorf("exit %+v failure %v out %q", exit, failure, out)
		}
	})
	t.Run("not found", func(t *testing.T) {
		b := c.execOf(status, "")
		b.Process.Args = []string{"nonesuch"}
		_, failure, _ := c.exec(b)
		if failure == nil || failure.ExitCode != 127 {
			t.Errorf("failure %+v", failure)
		}
	})
	// A parent that leaves its dead child to PID 1, which may not care, keeps the container's pid namespace from ending.
	t.Run("a failed one is reaped", func(t *testing.T) {
		must(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) // what is orphaned comes to us
		defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
		b := c.execOf(status, "")
		b.Process.Args = []string{"/etc/passwd"} // execve: EACCES
		if _, failure, _ := c.exec(b); failure == nil || failure.ExitCode != 126 {
			t.Errorf("failure %+v", failure)
		}
		nothingOf(t, status.Pid)
	})
	t.Run("given up before the start", func(t *testing.T) {
		must(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
		defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
		// At any moment: also between the clone that becomes the program and the word about it.
		for after := range 40 {
			b := c.execOf(status, "sleep 0.3") // where the daemon has gone after the start it is let run
			pid, reports := startProgram(t, proto.WorkExec, &b, null(t), null(t), null(t))
			end := time.Now().Add(time.Duration(after) * 100 * time.Microsecond)
			for time.Now().Before(end) {
			}
			unix.Close(reports)
			var ws unix.WaitStatus
			_, err := unix.Wait4(pid, &ws, 0, nil)
			must(t, err)
			nothingOf(t, status.Pid)
		}
	})
	t.Run("another process's pid", func(t *testing.T) {
		b := c.execOf(status, "true")
		b.PidStart++
		_, failure, _ := c.exec(b)
		if failure == nil || failure.Errno != unix.ESRCH {
			t.Errorf("failure %+v", failure)
		}
	})
}
