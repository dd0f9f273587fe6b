package monitor_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/rawfd"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/internal/thread"
	"github.com/stackrun/stack/runtime/boot"
	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/runtime/proto"
	"github.com/stackrun/stack/runtime/sealed"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m)) }

// program is the init program of this tree, built once and sealed as the daemon does it.
func program(t testing.TB) *os.File {
	t.Helper()
	if built == nil {
		b, err := os.ReadFile(sandbox.Program(t, runtime.GOARCH, "github.com/stackrun/stack/cmd/stack-init"))
		if err != nil {
			t.Fatal(err)
		}
		fd, err := sealed.Program("stack-init", b)
		if err != nil {
			t.Fatal(err)
		}
		built = os.NewFile(uintptr(fd), "stack-init")
	}
	return built
}

var built *os.File

// image makes a root file system of busybox.
func image(t testing.TB) string {
	t.Helper()
	sandbox.Require(t)
	busybox := sandbox.Tool(t, "busybox")
	root := t.TempDir()
	for _, d := range []string{"bin", "etc", "dev", "proc", "sys", "tmp", "run", "var", "root", "home/web"} {
		must(t, os.MkdirAll(filepath.Join(root, d), 0o755))
	}
	must(t, os.Chmod(filepath.Join(root, "tmp"), 0o1777))
	b, err := os.ReadFile(busybox)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(root, "bin/busybox"), b, 0o755))
	for _, name := range strings.Fields("sh cat ls id echo sleep true false touch mount stat hostname tty stty pwd env readlink mkdir rm kill ps seq head dd wc tr grep ip nc chmod test yes unshare ulimit mkfifo printf") {
		must(t, os.Symlink("busybox", filepath.Join(root, "bin", name)))
	}
	must(t, os.Symlink("/run", filepath.Join(root, "var/run")))
	write(t, filepath.Join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001:web:/home/web:/bin/sh\n")
	write(t, filepath.Join(root, "etc/group"), "root:x:0:\nweb:x:1001:\nextra:x:2000:web\naudio:x:29:\n")
	return root
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

var dockerCaps = []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE"}

// container is a Bootstrap on its way to a process, with what the test saw of it.
type container struct {
	t   testing.TB
	dir string
	proto.Bootstrap

	pid     int // monitor's
	reports int
	seen    []proto.Report
}

// newContainer is a container of docker's defaults that runs a shell script.
func newContainer(t testing.TB, root, script string) *container {
	t.Helper()
	dir := t.TempDir()
	c := &container{t: t, dir: dir}
	upper, work, run := filepath.Join(dir, "upper"), filepath.Join(dir, "work"), filepath.Join(dir, "run")
	for _, d := range []string{upper, work, run} {
		must(t, os.Mkdir(d, 0o700))
	}
	must(t, os.Chmod(upper, 0o755))
	c.Bootstrap = proto.Bootstrap{
		ID:       strings.Repeat("ab", 32),
		Spec:     defaultSpec(script),
		Root:     []mount.Mount{{Type: "overlay", Target: "/", Lower: []string{root}, Upper: upper, Work: work}},
		Log:      proto.Log{Path: filepath.Join(dir, "log/c.log"), MaxSize: 10 << 20, MaxFiles: 3},
		RunDir:   run,
		ExitPath: filepath.Join(dir, "exit.json"),
	}
	return c
}

func defaultSpec(script string) *specs.Spec {
	ns := func(t specs.LinuxNamespaceType) specs.LinuxNamespace { return specs.LinuxNamespace{Type: t} }
	return &specs.Spec{
		Version: "1.3.0",
		Process: &specs.Process{
			Args: []string{"/bin/sh", "-c", script}, Cwd: "/",
			Env:          []string{"PATH=/bin"},
			Capabilities: &specs.LinuxCapabilities{Bounding: dockerCaps, Effective: dockerCaps, Permitted: dockerCaps},
		},
		Root:     &specs.Root{},
		Hostname: "box",
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
			{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev"}},
			{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=67108864"}},
		},
		Linux: &specs.Linux{
			Namespaces: []specs.LinuxNamespace{ns(specs.PIDNamespace), ns(specs.MountNamespace), ns(specs.UTSNamespace),
				ns(specs.IPCNamespace), ns(specs.NetworkNamespace), ns(specs.CgroupNamespace)},
			MaskedPaths: []string{"/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/scsi",
				"/sys/firmware", "/sys/devices/virtual/powercap"},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
}

// start runs the monitor. What the daemon would do, by hand.
func (c *container) start() {
	c.t.Helper()
	c.pid, c.reports = startProgram(c.t, proto.Work, &c.Bootstrap)
	pid := c.pid
	c.t.Cleanup(func() {
		c.hangUp()
		var status proto.Status
		if b, err := os.ReadFile(filepath.Join(c.RunDir, proto.StatusName)); err == nil && json.Unmarshal(b, &status) == nil {
			unix.Kill(status.Pid, unix.SIGKILL)
		}
		unix.Kill(pid, unix.SIGKILL)
		var ws unix.WaitStatus
		unix.Wait4(pid, &ws, 0, nil)
	})
}

// hangUp closes the daemon's end of the reports, as its death does.
func (c *container) hangUp() {
	if c.reports >= 0 {
		unix.Close(c.reports)
		c.reports = -1
	}
}

func startProgram(t testing.TB, word string, bootstrap interface{ Encode() []byte }, stdio ...*os.File) (pid, reports int) {
	t.Helper()
	pid, reports = startIdle(t)
	hand(t, reports, word, bootstrap, stdio...)
	return pid, reports
}

// hand gives work to a program that waits for it, and has what it waits for then.
func hand(t testing.TB, reports int, word string, bootstrap interface{ Encode() []byte }, stdio ...*os.File) {
	t.Helper()
	give(t, reports, word, bootstrap, stdio...)
	if word == proto.Work {
		// One that cannot do what comes before has failed, and may have ended.
		if err := proto.SendPacket(reports, []byte(proto.WorkGo)); !errors.Is(err, unix.EPIPE) {
			must(t, err)
		}
	}
}

func give(t testing.TB, reports int, word string, bootstrap interface{ Encode() []byte }, stdio ...*os.File) {
	t.Helper()
	fd, err := unix.MemfdCreate("bootstrap", unix.MFD_CLOEXEC)
	must(t, err)
	defer unix.Close(fd)
	_, err = unix.Write(fd, bootstrap.Encode())
	must(t, err)
	files := []int{fd}
	if word == proto.Work {
		files = append(files, empty(t))
	}
	for _, f := range stdio {
		files = append(files, int(f.Fd()))
	}
	must(t, proto.SendPacket(reports, []byte(word), files...))
}

// empty is the namespace that every container's is a copy of. It is never closed.
func empty(t testing.TB) int {
	t.Helper()
	fd, err := emptyNamespace()
	must(t, err)
	return fd
}

var emptyNamespace = sync.OnceValues(func() (fd int, err error) {
	err = thread.Apart(func() error {
		fd, err = boot.OpenEmpty()
		return err
	})
	return fd, err
})

func null(t testing.TB) *os.File {
	t.Helper()
	f, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// startIdle starts the program, which waits for its work.
func startIdle(t testing.TB) (pid, reports int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(pair[1])
	n := null(t).Fd()
	pid, err = syscall.ForkExec(fmt.Sprintf("/proc/self/fd/%d", program(t).Fd()), []string{"stack-init", proto.ModeMonitor},
		&syscall.ProcAttr{Dir: "/", Env: proto.Environ(), Files: []uintptr{n, n, n, n, uintptr(pair[1])}, Sys: &syscall.SysProcAttr{Setsid: true}})
	must(t, err)
	return pid, pair[0]
}

// next is the next report; ok is false when the monitor has ended.
func (c *container) next() (r proto.Report, ok bool) {
	c.t.Helper()
	files, err := proto.Receive(c.reports, &r)
	rawfd.CloseAll(files) // with Started comes the root
	if err == io.EOF {
		return r, false
	}
	must(c.t, err)
	c.seen = append(c.seen, r)
	return r, true
}

// await returns the next report of this type and fails at Failed, if that is not it.
func (c *container) await(kind proto.ReportType) proto.Report {
	c.t.Helper()
	for {
		r, ok := c.next()
		switch {
		case !ok:
			c.t.Fatalf("the monitor ended; want %q, got %+v", kind, c.seen)
		case r.Type == kind:
			return r
		case r.Type == proto.ReportFailed:
			c.t.Fatalf("start failed: %v", r.Failure)
		}
	}
}

// run starts c and waits for its end. It returns the exit and what was logged.
func (c *container) run() (proto.Exit, string) {
	c.t.Helper()
	c.start()
	c.await(proto.ReportStarted)
	exit := *c.await(proto.ReportExited).Exit
	return exit, c.logged()
}

// output is run for a script that must succeed.
func (c *container) output() string {
	c.t.Helper()
	exit, out := c.run()
	if exit.Code != 0 {
		c.t.Fatalf("exit %+v, log:\n%s", exit, out)
	}
	return out
}

// failure is run for a start that must fail.
func (c *container) failure() *proto.Failure {
	c.t.Helper()
	c.start()
	return c.await(proto.ReportFailed).Failure
}

// logged is the text of all lines of the log.
func (c *container) logged() string {
	b, err := os.ReadFile(c.Log.Path)
	if os.IsNotExist(err) {
		return ""
	}
	must(c.t, err)
	var text strings.Builder
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(line, " ", 4)
		if len(f) != 4 {
			c.t.Fatalf("not a log line: %q", line)
		}
		if f[2] == "P" {
			text.WriteString(strings.TrimSuffix(f[3], "\n"))
		} else {
			text.WriteString(f[3])
		}
	}
	return text.String()
}

// ended waits for the monitor, for which there is nothing more to do.
func (c *container) ended() {
	c.hangUp()
	var ws unix.WaitStatus
	unix.Wait4(c.pid, &ws, 0, nil)
}

var serial atomic.Int64

// cgroupDirs makes a cgroup in every hierarchy of the sandbox.
func (c *container) cgroups() {
	c.t.Helper()
	name := fmt.Sprintf("c%d", serial.Add(1))
	entries, err := os.ReadDir("/sys/fs/cgroup")
	must(c.t, err)
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.procs"); err == nil {
		if err := os.WriteFile("/sys/fs/cgroup/cgroup.subtree_control", []byte("+memory"), 0); err == nil {
			c.Cgroup.OOM = filepath.Join("/sys/fs/cgroup", name, "memory.events")
		}
		c.Cgroup.V2 = filepath.Join("/sys/fs/cgroup", name)
		must(c.t, os.Mkdir(c.Cgroup.V2, 0o755))
	} else {
		for _, e := range entries {
			dir := filepath.Join("/sys/fs/cgroup", e.Name(), name)
			if os.Mkdir(dir, 0o755) != nil {
				continue
			}
			switch e.Name() {
			case "unified":
				c.Cgroup.V2 = dir
				continue
			case "cpuset":
				for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
					b, err := os.ReadFile(filepath.Join(filepath.Dir(dir), f))
					must(c.t, err)
					must(c.t, os.WriteFile(filepath.Join(dir, f), b, 0))
				}
			case "memory":
				c.Cgroup.OOM = filepath.Join(dir, "memory.oom_control")
			}
			c.Cgroup.V1 = append(c.Cgroup.V1, dir)
		}
	}
	dirs := append([]string{}, c.Cgroup.V1...)
	if c.Cgroup.V2 != "" {
		dirs = append(dirs, c.Cgroup.V2)
	}
	c.t.Cleanup(func() {
		for _, d := range dirs {
			sandbox.Eventually(c.t, "rmdir "+d, func() bool { return unix.Rmdir(d) != unix.EBUSY })
		}
	})
}

// follow waits until the log holds text.
func follow(t testing.TB, c *container, text string) {
	t.Helper()
	sandbox.Eventually(t, fmt.Sprintf("the log holds %q", text), func() bool { return strings.Contains(c.logged(), text) })
}
