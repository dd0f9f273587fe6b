package monitor_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime/dormant"
	"github.com/stackrun/stack/runtime/identity"
	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/runtime/proto"
)

// quietImage is image for a test that waits for long.
func quietImage(t *testing.T) string {
	root := image(t)
	program(t)
	t.Parallel()
	return root
}

// settles starts c, and hangs up as the daemon does when the container is no short one.
func (c *container) settles() *proto.Status {
	c.t.Helper()
	c.start()
	return c.leave()
}

// leave is settles for one that was started.
func (c *container) leave() *proto.Status {
	c.t.Helper()
	if dormant.Program() == nil {
		c.t.Skip("SKIP: no monitor rests on " + runtime.GOARCH)
	}
	status := c.await(proto.ReportStarted).Status
	c.await(proto.ReportSettled)
	c.hangUp()
	return status
}

// rests says whether the process is dormant: a program in Go has mapped a GiB, and that one a few pages.
func rests(t testing.TB, pid int) bool {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	must(t, err)
	pages, err := strconv.Atoi(strings.Fields(string(b))[0])
	must(t, err)
	return pages > 0 && pages*os.Getpagesize() < 1<<20
}

func awaitRest(t testing.TB, c *container) {
	t.Helper()
	sandbox.Eventually(t, "the monitor rests", func() bool { return rests(t, c.pid) })
}

// over waits for the monitor, which must have ended as it should, and returns the exit that it has recorded.
func (c *container) over() proto.Exit {
	c.t.Helper()
	var ws unix.WaitStatus
	if _, err := unix.Wait4(c.pid, &ws, 0, nil); err != nil || ws != 0 {
		c.t.Errorf("the monitor ended with %#x, %v", ws, err)
	}
	for _, name := range []string{proto.StatusName, proto.SocketName} {
		if _, err := os.Lstat(filepath.Join(c.RunDir, name)); err == nil {
			c.t.Errorf("there is still a %s", name)
		}
	}
	var exit proto.Exit
	b, err := os.ReadFile(c.ExitPath)
	must(c.t, err)
	must(c.t, json.Unmarshal(b, &exit))
	return exit
}

// A monitor that has nothing to do is no program in Go, and loses nothing by that.
func TestRest(t *testing.T) {
	c := newContainer(t, quietImage(t), `echo begin; while read line; do echo "out $line"; echo "err $line" >&2; done; echo eof; trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done`)
	c.StdinOpen = true
	status := c.settles()
	awaitRest(t, c)
	if kb := memory(t, c.pid, "Rss"); kb > 200 {
		t.Errorf("it rests with %d kB", kb)
	}
	// It gives itself its name, a moment after it is there.
	sandbox.Eventually(t, "it has the name of a monitor", func() bool { return name(t, c.pid) == proto.SettledName(0) })
	a := c.attach(t, proto.AttachRequest{Stdin: true})
	a.send(proto.FrameStdin, "one\n")
	a.until("out one\n")
	a.conn.Close()
	awaitRest(t, c) // again

	a = c.attach(t, proto.AttachRequest{Stdin: true})
	a.send(proto.FrameStdin, "two\n")
	a.until("out two\n")
	a.send(proto.FrameEOF, "")
	a.until("ready\n")
	must(t, unix.Kill(status.Pid, unix.SIGTERM))
	if exit := c.over(); exit.Code != 9 || !exit.StartedAt.Equal(status.StartedAt) {
		t.Errorf("exit %+v of what began at %v", exit, status.StartedAt)
	}
	if out, want := c.logged(), "begin\nout one\nerr one\nout two\nerr two\neof\nready\n"; sorted(out) != sorted(want) {
		t.Errorf("the log is %q, expected the lines of %q", out, want)
	}
}

// sorted are the lines of text without the order that two streams have none of.
func sorted(text string) string {
	var out, err []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "err") {
			err = append(err, line)
		} else {
			out = append(out, line)
		}
	}
	return strings.Join(append(out, err...), "")
}

// What the container does wakes its monitor: output, the end of a stream, and its own end.
func TestRestEndsWithWhatComes(t *testing.T) {
	root := quietImage(t)
	const begin = `trap 'x=1' USR1; on() { while [ -z "$x" ]; do sleep 0.02; done; x=; }; echo ready; `
	for what, script := range map[string]string{
		"output":                `on; echo late; exec sleep 1000`,
		"the end of a stream":   `on; exec >&-; on; exit 3`,
		"output after its end":  `on; exec >&-; on; echo late >&2; exec sleep 1000`,
		"the end":               `on; exit 3`,
		"the end of a terminal": `on; echo late; exit 3`,
	} {
		t.Run(what, func(t *testing.T) {
			c := newContainer(t, root, begin+script)
			c.Spec.Process.Terminal = strings.Contains(what, "terminal")
			status := c.settles()
			follow(t, c, "ready")
			open := 1000
			for range strings.Count(script, "on;") {
				// A stream that has ended is closed: it has been awake meanwhile.
				sandbox.Eventually(t, "the monitor rests with less open", func() bool { return rests(t, c.pid) && len(links(t, c)) < open })
				open = len(links(t, c))
				must(t, unix.Kill(status.Pid, unix.SIGUSR1))
			}
			want := 3
			if strings.Contains(script, "sleep 1000") {
				follow(t, c, "late\n")
				must(t, unix.Kill(status.Pid, unix.SIGKILL))
				want = 137
			}
			if exit := c.over(); exit.Code != want {
				t.Errorf("exit %+v, expected code %d", exit, want)
			}
			if strings.Contains(script, "late") != strings.Contains(c.logged(), "late") {
				t.Errorf("the log is %q", c.logged())
			}
		})
	}
}

// A terminal is the container's after a rest as before.
func TestRestWithTerminal(t *testing.T) {
	c := newContainer(t, quietImage(t), `stty -echo; echo ready; while read line; do stty size; echo "got $line"; done`)
	c.Spec.Process.Terminal = true
	status := c.settles()
	follow(t, c, "ready")
	awaitRest(t, c)
	a := c.attach(t, proto.AttachRequest{Stdin: true})
	a.send(proto.FrameResize, "\x00\x1e\x00\x64")
	a.send(proto.FrameStdin, "text\n")
	a.until("got text")
	if !strings.Contains(c.logged(), "30 100") {
		t.Errorf("the log is %q", c.logged())
	}
	must(t, unix.Kill(status.Pid, unix.SIGKILL))
	c.over()
}

// Whoever has something to do, or could not tell all that it knows, stays awake.
func TestNoRest(t *testing.T) {
	root := quietImage(t)
	var all []*container
	start := func(script string, change func(c *container)) *container {
		c := newContainer(t, root, script)
		change(c)
		c.start()
		if !c.AwaitAttach {
			c.await(proto.ReportStarted)
		} else {
			c.await(proto.ReportListening)
		}
		all = append(all, c)
		return c
	}
	leave := func(c *container) {
		c.await(proto.ReportSettled)
		c.hangUp()
	}
	half := start("printf half; exec sleep 1000", func(c *container) { c.AwaitAttach = true })
	first := half.attach(t, proto.AttachRequest{})
	half.await(proto.ReportStarted)
	first.until("half")
	first.conn.Close()
	leave(half)
	follow(t, start("echo x; exec sleep 1000", func(c *container) { joinPids(t, c) }), "x")
	leave(all[1])
	attached := start("exec cat", func(c *container) { c.StdinOpen = true })
	a := attached.attach(t, proto.AttachRequest{Stdin: true})
	a.send(proto.FrameStdin, "typed\n")
	a.until("typed\n")
	leave(attached)
	silent := start("exec sleep 1000", func(*container) {})
	silent.dial(t) // has not said what it wants
	leave(silent)
	heard := start("exec sleep 1000", func(*container) {})
	heard.await(proto.ReportSettled)

	// All of them had their turn before this one.
	last := newContainer(t, root, "exec sleep 1000")
	last.settles()
	awaitRest(t, last)
	for i, c := range all {
		if rests(t, c.pid) && c != silent { // which is dropped after a while
			t.Errorf("the monitor of number %d rests", i)
		}
	}
	a.conn.Close()
	awaitRest(t, attached)
}

// Nobody who looks at a process that goes to rest, or is woken, may take it for the monitor of another work, or for one that has ended.
func TestRestIsTheSameProcess(t *testing.T) {
	root := quietImage(t)
	before := freed(t, 1, func() *container { return newContainer(t, root, "echo out") })
	c := newContainer(t, root, "exec sleep 1000")
	c.another(before)
	status := c.leave()
	if status.MonitorWork != 1 {
		t.Fatalf("it is at work %d, expected the second", status.MonitorWork)
	}
	monitor := identity.MonitorOf(status)
	look := func(is func() bool) func() bool {
		return func() bool {
			for range 1000 { // it takes less than a millisecond to go
				if !monitor.Alive() {
					b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.pid))
					t.Fatalf("it seems to have ended: %s", b)
				}
			}
			return is()
		}
	}
	sandbox.Eventually(t, "the monitor rests", look(func() bool { return rests(t, c.pid) }))
	a := c.attach(t, proto.AttachRequest{})
	sandbox.Eventually(t, "it is awake", look(func() bool { return !rests(t, c.pid) && name(t, c.pid) == proto.SettledName(1) }))
	a.conn.Close()
	sandbox.Eventually(t, "the monitor rests again", look(func() bool { return rests(t, c.pid) }))
}

// What does not end a monitor that is awake does not end one that rests. While it is being woken, for a millisecond, SIGTERM and SIGQUIT would: see resume.
func TestRestTakesNoSignals(t *testing.T) {
	c := newContainer(t, quietImage(t), "exec sleep 1000")
	status := c.settles()
	awaitRest(t, c)
	for _, sig := range []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGUSR1, unix.SIGUSR2,
		unix.SIGPIPE, unix.SIGALRM, unix.SIGVTALRM, unix.SIGIO, unix.SIGPWR, unix.SIGCHLD, unix.SIGWINCH, unix.SIGURG, 40, 64} {
		must(t, unix.Kill(c.pid, sig))
	}
	must(t, unix.Kill(c.pid, unix.SIGSTOP))
	must(t, unix.Kill(c.pid, unix.SIGCONT))
	if !rests(t, c.pid) {
		t.Error("a signal has woken it")
	}
	a := c.attach(t, proto.AttachRequest{})
	sandbox.Eventually(t, "it is awake", func() bool { return !rests(t, c.pid) && name(t, c.pid) == proto.SettledName(0) })
	must(t, unix.Kill(c.pid, unix.SIGTERM))
	must(t, unix.Kill(status.Pid, unix.SIGKILL))
	a.all()
	if exit := c.over(); exit.Code != 137 {
		t.Errorf("exit %+v", exit)
	}
}

// A monitor that cannot rest, for it may have no more files, goes on as before.
func TestNoRestAfterAll(t *testing.T) {
	root := quietImage(t)
	c := newContainer(t, root, `trap 'echo late' USR1; echo ready; while :; do sleep 0.02; done`)
	binds(t, c)
	c.start()
	status := c.await(proto.ReportStarted).Status
	c.await(proto.ReportSettled)
	// The first two of the dormant program's files have room, and the third has not.
	var before unix.Rlimit
	must(t, unix.Prlimit(c.pid, unix.RLIMIT_NOFILE, nil, &before))
	limit := unix.Rlimit{Cur: uint64(proto.ProgramFD(0)), Max: before.Max}
	must(t, unix.Prlimit(c.pid, unix.RLIMIT_NOFILE, &limit, nil))
	c.hangUp()
	later := newContainer(t, root, "exec sleep 1000")
	later.settles()
	awaitRest(t, later)
	if rests(t, c.pid) {
		t.Fatal("it rests")
	}
	must(t, unix.Kill(status.Pid, unix.SIGUSR1))
	follow(t, c, "late")
	must(t, unix.Prlimit(c.pid, unix.RLIMIT_NOFILE, &before, nil))
	awaitRest(t, c)
	must(t, unix.Prlimit(c.pid, unix.RLIMIT_NOFILE, &limit, nil))
	must(t, unix.Kill(status.Pid, unix.SIGKILL))
	if exit := c.over(); exit.Code != 137 {
		t.Errorf("exit %+v", exit)
	}
}

// binds gives c so many mounts that descriptors which its monitor keeps get the numbers that the dormant program needs: the pidfd of the init comes after the mounts.
func binds(t *testing.T, c *container) {
	for i := range 20 {
		c.Mounts = append(c.Mounts, mount.Mount{Type: "bind", Source: t.TempDir(), Target: fmt.Sprintf("/tmp/%d", i), Options: []string{"bind"}})
	}
}

// links are the files that the monitor has open, without the connection to the daemon, pollers, and what it reads of itself in passing.
func links(t *testing.T, c *container) (all []string) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.pid))
	must(t, err)
	for _, e := range entries {
		to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", c.pid, e.Name()))
		if err == nil && e.Name() != strconv.Itoa(proto.FDReport) && !strings.Contains(to, "[event") && !strings.HasPrefix(to, "/proc/") {
			all = append(all, to)
		}
	}
	slices.Sort(all)
	return all
}

// What a monitor had open it has open after a rest, and no more.
func TestRestKeepsFiles(t *testing.T) {
	c := newContainer(t, quietImage(t), "exec sleep 1000")
	c.StdinOpen = true
	binds(t, c)
	c.start()
	status := c.await(proto.ReportStarted).Status
	c.await(proto.ReportSettled)
	taken := 0
	for fd := dormant.Events; fd < proto.FirstOtherFD; fd++ {
		if _, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", c.pid, fd)); err == nil {
			taken++
		}
	}
	if taken == 0 {
		t.Error("none of the numbers that matter is taken")
	}
	before := links(t, c)
	c.hangUp()
	for range 2 {
		awaitRest(t, c)
		a := c.attach(t, proto.AttachRequest{})
		sandbox.Eventually(t, "its files are those that it had and the client's connection:\n"+strings.Join(before, "\n"), func() bool {
			more := links(t, c)
			for _, l := range before {
				i := slices.Index(more, l)
				if i < 0 {
					return false
				}
				more = slices.Delete(more, i, i+1)
			}
			return len(more) == 1 && strings.HasPrefix(more[0], "socket:")
		})
		a.conn.Close()
	}
	must(t, unix.Kill(status.Pid, unix.SIGKILL))
	c.over()
}
