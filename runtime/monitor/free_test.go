package monitor_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime/proto"
)

// another starts c in the monitor of before, which is free.
func (c *container) another(before *container) {
	c.t.Helper()
	c.pid, c.reports = before.pid, before.reports
	before.reports = -1
	hand(c.t, c.reports, proto.Work, &c.Bootstrap)
}

// work starts c in the monitor of before, or one of its own, and says whether that is free at its end.
func (c *container) work(before *container) (free bool) {
	c.t.Helper()
	if before == nil {
		c.start()
	} else {
		c.another(before)
	}
	c.await(proto.ReportStarted)
	return c.exits()
}

// exits waits for the end of the container, and says whether its monitor is free then. If not its process ends.
func (c *container) exits() (free bool) {
	c.t.Helper()
	c.await(proto.ReportExited)
	for {
		switch r, ok := c.next(); {
		case !ok:
			return false
		case r.Type == proto.ReportFree:
			return true
		}
	}
}

// freed is a container that has ended and whose monitor is free, at its n-th work. A machine that is slow may take a container for no short one.
func freed(t testing.TB, n int, make func() *container) *container {
	t.Helper()
	var last *container
	sandbox.Eventually(t, "a monitor is free", func() bool {
		last = nil
		for range n {
			c := make()
			if !c.work(last) {
				c.ended()
				return false
			}
			last = c
		}
		return true
	})
	return last
}

func name(t testing.TB, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	must(t, err)
	return strings.TrimSpace(string(b))
}

// A monitor that is free has put everything on record, is known by another name, and ends when nobody has work for it.
func TestFreeMonitor(t *testing.T) {
	root := image(t)
	for n, change := range map[int]func(c *container){
		1: func(c *container) {},
		2: func(c *container) { c.StdinOpen = true },
		3: func(c *container) { c.Init = true },
	} {
		c := freed(t, n, func() *container {
			c := newContainer(t, root, "echo out")
			change(c)
			return c
		})
		if is, want := name(t, c.pid), proto.WorkName(n); is != want {
			t.Errorf("after %d works its name is %q, expected %q", n, is, want)
		}
		if text := c.logged(); text != "out\n" {
			t.Errorf("the log is %q", text)
		}
		if _, err := os.Stat(c.ExitPath); err != nil {
			t.Error(err)
		}
		for _, name := range []string{proto.StatusName, proto.SocketName} {
			if _, err := os.Lstat(filepath.Join(c.RunDir, name)); err == nil {
				t.Errorf("there is still a %s", name)
			}
		}
		c.hangUp()
		var ws unix.WaitStatus
		if _, err := unix.Wait4(c.pid, &ws, 0, nil); err != nil || ws != 0 {
			t.Errorf("it ended with %#x, %v", ws, err)
		}
	}
}

// Whoever attaches before the start is gone with the container.
func TestFreeAfterAttach(t *testing.T) {
	root := image(t)
	sandbox.Eventually(t, "the monitor of one that was attached to is free", func() bool {
		c := newContainer(t, root, "cat")
		c.AwaitAttach, c.StdinOpen = true, true
		c.start()
		c.await(proto.ReportListening)
		a := c.attach(t, proto.AttachRequest{Stdin: true})
		c.await(proto.ReportStarted)
		a.send(proto.FrameStdin, "typed")
		a.send(proto.FrameEOF, "")
		if out, _ := a.all(); out != "typed" {
			t.Errorf("out %q", out)
		}
		return c.exits()
	})
}

// Whatever is not as usual ends with the process, as it always did. Each is compared with one that is usual: that is free.
func TestNotFree(t *testing.T) {
	root := image(t)
	usual := func() *container { return newContainer(t, root, "echo out") }
	for what, work := range map[string]func(c *container) (free bool){
		"a terminal": func(c *container) bool {
			c.Spec.Process.Terminal = true
			return c.work(nil)
		},
		"a pid namespace of another": func(c *container) bool {
			joinPids(t, c)
			return c.work(nil)
		},
		"no short life": func(c *container) bool {
			c.Spec.Process.Args = []string{"/bin/sleep", "1000"}
			c.start()
			status := c.await(proto.ReportStarted).Status
			c.await(proto.ReportSettled)
			must(t, unix.Kill(status.Pid, unix.SIGKILL))
			return c.exits()
		},
		"a client who has not said what it wants": func(c *container) bool {
			c.AwaitAttach = true
			c.start()
			c.await(proto.ReportListening)
			c.dial(t)
			c.attach(t, proto.AttachRequest{}) // accepted after the other
			c.await(proto.ReportStarted)
			return c.exits()
		},
		"a client with notes": func(c *container) bool {
			c.AwaitAttach = true
			c.start()
			c.await(proto.ReportListening)
			c.attach(t, proto.AttachRequest{Notes: true})
			c.attach(t, proto.AttachRequest{})
			c.await(proto.ReportStarted)
			return c.exits()
		},
		"a log that is lost": func(c *container) bool {
			disk := filepath.Dir(c.Log.Path)
			must(t, os.Mkdir(disk, 0o755))
			must(t, unix.Mount("tmpfs", disk, "tmpfs", 0, "size=16k"))
			t.Cleanup(func() { must(t, unix.Unmount(disk, unix.MNT_DETACH)) })
			c.Spec.Process.Args[2] = "yes | head -c 100000"
			return c.work(nil)
		},
		"an exit that cannot be recorded": func(c *container) bool {
			c.ExitPath = filepath.Join(c.dir, "no", "exit.json")
			return c.work(nil)
		},
		"a socket that cannot be removed": func(c *container) bool {
			c.AwaitAttach, c.StdinOpen = true, true
			c.Spec.Process.Args[2] = "read -r line"
			c.start()
			c.await(proto.ReportListening)
			a := c.attach(t, proto.AttachRequest{Stdin: true})
			c.await(proto.ReportStarted)
			socket := filepath.Join(c.RunDir, proto.SocketName)
			must(t, os.Remove(socket))
			must(t, os.Mkdir(socket, 0o700))
			a.send(proto.FrameEOF, "")
			return c.exits()
		},
		"as many works as one may have": func(c *container) bool {
			free := c.work(nil)
			for range 1000 {
				if !free {
					return false
				}
				next := usual()
				free = next.work(c)
				c = next
			}
			return free
		},
	} {
		t.Run(what, func(t *testing.T) {
			freed(t, 1, usual).ended() // the usual one
			c := usual()
			if work(c) {
				t.Error("its monitor is free")
			}
			pid := c.pid
			sandbox.Eventually(t, "the process ends", func() bool {
				ended, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
				return err == nil && ended == pid
			})
		})
	}
}

// One whose daemon is gone at its end ends too.
func TestNotFreeWithoutDaemon(t *testing.T) {
	c := newContainer(t, image(t), "read -r line")
	c.StdinOpen, c.AwaitAttach = true, true
	c.start()
	c.await(proto.ReportListening)
	a := c.attach(t, proto.AttachRequest{Stdin: true})
	c.await(proto.ReportStarted)
	c.hangUp()
	a.send(proto.FrameEOF, "")
	var ws unix.WaitStatus
	if _, err := unix.Wait4(c.pid, &ws, 0, nil); err != nil || ws != 0 {
		t.Errorf("it ended with %#x, %v", ws, err)
	}
}

// A process that has been the monitor of other containers is, for what it is to do next, as a new one: what it is, and what its container gets.
func TestFreeMonitorIsAsNew(t *testing.T) {
	root := image(t)
	// What a process of a container has. Numbers that are of one container alone are left out.
	const script = "cat /proc/self/status /proc/self/limits /proc/self/oom_score_adj /proc/self/cgroup; cut -d ' ' -f 4-6 /proc/self/mountinfo 2>/dev/null; env; umask; pwd; hostname; " +
		"echo /proc/self/fd/*; id; tty"
	numbers := regexp.MustCompile(`(?m)^(Vm\w+|Rss\w+|Hugetlb\w+|\w*ctxt_switches|Pid|Tgid|NSt?\w+|Ngid|Mems_allowed\w*|Cpus_allowed\w*|SigQ|Threads|x86_Thread_features\w*):.*$`)
	what := func(c *container) string { return numbers.ReplaceAllString(c.logged(), "") }

	// Go raises the soft limit of files, for itself alone.
	var files unix.Rlimit
	must(t, unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1000, Max: 5000}, &files))
	defer unix.Prlimit(0, unix.RLIMIT_NOFILE, &files, nil)
	first := newContainer(t, root, script)
	first.work(nil)
	fresh, reports := startIdle(t)
	defer func() { unix.Close(reports); unix.Wait4(fresh, nil, 0, nil) }()

	// Before it comes one that has everything.
	mark, adj := uint32(0o77), 500
	last := freed(t, 2, func() *container {
		c := newContainer(t, root, "echo out; echo err >&2")
		c.cgroups()
		c.Init, c.StdinOpen = true, true
		p := c.Spec.Process
		p.User.Umask, p.OOMScoreAdj, p.Cwd, p.Env = &mark, &adj, "/tmp", append(p.Env, "PASSWORD=swordfish")
		p.User.UID, p.User.GID, p.NoNewPrivileges = 1000, 1001, true
		p.Rlimits = append(p.Rlimits, specs.POSIXRlimit{Type: "RLIMIT_NOFILE", Soft: 77, Hard: 88}, specs.POSIXRlimit{Type: "RLIMIT_CORE"})
		c.Spec.Hostname = "other"
		return c
	})
	is, want := "", ""
	if !sandbox.Within(func() bool { is, want = processState(t, last.pid), processState(t, fresh); return is == want }) { // that one begins yet
		t.Errorf("a monitor that is free is\n%s\nand a new one\n%s", is, want)
	}
	second := newContainer(t, root, script)
	second.work(last)
	if is, want := what(second), what(first); is != want || !strings.Contains(is, "Max open files") {
		t.Errorf("in the container of a monitor that had others:\n%s\nin that of a new one:\n%s", is, want)
	}
}

// processState is what /proc says of a program that waits, of each of its threads once.
func processState(t *testing.T, pid int) string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d", pid)
	read := func(path string) string {
		b, err := os.ReadFile(path)
		must(t, err)
		return string(b)
	}
	threads, err := os.ReadDir(dir + "/task")
	must(t, err)
	var kinds []string
	keep := regexp.MustCompile(`(?m)^(Umask|Uid|Gid|Groups|SigIgn|SigBlk|ShdPnd|Cap\w+|NoNewPrivs|Seccomp\w*):.*$`)
	for _, th := range threads {
		task := filepath.Join(dir, "task", th.Name())
		kind := strings.Join(keep.FindAllString(read(task+"/status"), -1), "\n")
		for _, link := range []string{"root", "cwd", "ns/mnt", "ns/net", "ns/ipc", "ns/uts", "ns/pid", "ns/pid_for_children", "ns/cgroup", "ns/user"} {
			to, err := os.Readlink(filepath.Join(task, link))
			must(t, err)
			kind += "\n" + link + " " + to
		}
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	files, err := os.ReadDir(dir + "/fd")
	must(t, err)
	var open []string
	for _, f := range files {
		to, err := os.Readlink(filepath.Join(dir, "fd", f.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			return "" // what was made ahead goes meanwhile
		}
		must(t, err)
		if !strings.HasPrefix(to, "anon_inode:[event") { // Go's poller, which a new one has not needed yet
			open = append(open, regexp.MustCompile(`\[\d+\]`).ReplaceAllString(f.Name()+" "+to, ""))
		}
	}
	return strings.Join(append(kinds, read(dir+"/limits"), read(dir+"/oom_score_adj"), read(dir+"/cgroup"), strings.Join(open, "\n")), "\n")
}

// One that has had many containers gives back what they have left: to what one has after its first, it adds little.
func TestFreeMonitorIsSmall(t *testing.T) {
	root := image(t)
	of := func(n int) *container { return freed(t, n, func() *container { return newContainer(t, root, "true") }) }
	one, many := of(1), of(15)
	at := memory(t, many.pid, "Private_Dirty")
	for _, c := range []*container{one, many} { // the kernel makes some on its own where it may, as in Debian
		if huge := memory(t, c.pid, "AnonHugePages"); huge != 0 {
			t.Errorf("%d kB of it are huge pages, which give nothing back", huge)
		}
	}
	sandbox.Eventually(t, "it gives memory back", func() bool {
		return memory(t, many.pid, "Private_Dirty") < memory(t, one.pid, "Private_Dirty")+768
	})
	t.Logf("after 15 containers: %d kB at once, %d kB at rest; after one %d kB", at, memory(t, many.pid, "Private_Dirty"), memory(t, one.pid, "Private_Dirty"))
	one.ended()
	many.ended()
}
