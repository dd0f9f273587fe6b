package monitor_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/runtime/proto"
)

// canary is a directory of the host that no container may touch.
func canary(t *testing.T) (dir string, untouched func()) {
	dir = t.TempDir()
	write(t, filepath.Join(dir, "secret"), "the host's")
	return dir, func() {
		t.Helper()
		entries, err := os.ReadDir(dir)
		must(t, err)
		b, err := os.ReadFile(filepath.Join(dir, "secret"))
		if err != nil || string(b) != "the host's" || len(entries) != 1 {
			t.Errorf("the host's directory was changed: %v, %q, %v", entries, b, err)
		}
	}
}

// CVE-2024-21626: a working directory by way of a descriptor that somebody left open.
func TestWorkingDirThroughProc(t *testing.T) {
	root := image(t)
	var cwds []string
	for fd := 3; fd <= 64; fd++ {
		cwds = append(cwds, fmt.Sprintf("/proc/self/fd/%d", fd), fmt.Sprintf("/proc/self/fd/%d/../../etc", fd))
	}
	cwds = append(cwds, "/proc/1/cwd", "/proc/self/root", "/proc/thread-self/fd/4")
	c := newContainer(t, root, "exec sleep 1000")
	c.start()
	status := c.await(proto.ReportStarted).Status
	for i, cwd := range cwds {
		if i%8 == 0 || i > 123 { // every way in once, the containers' start is the same code for all
			c := newContainer(t, root, "pwd")
			c.Spec.Process.Cwd = cwd
			if f := c.failure(); f.Stage != "working directory" {
				t.Errorf("start in %s: %s", cwd, f.Error())
			}
		}
		b := c.execOf(status, "pwd")
		b.Process.Cwd = cwd
		if _, f, out := c.exec(b); f == nil || f.Stage != "working directory" {
			t.Errorf("exec in %s: %v, %q", cwd, f, out)
		}
	}
	// By a link in the image.
	must(t, os.Symlink("/proc/self/fd/7", filepath.Join(root, "srv")))
	c = newContainer(t, root, "pwd")
	c.Spec.Process.Cwd = "/srv/sub"
	if f := c.failure(); f.Stage != "working directory" {
		t.Errorf("through a link: %s", f.Error())
	}
}

func TestOnlyStdioIsOpen(t *testing.T) {
	// A descriptor that the daemon leaks to everything that it starts.
	leak, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	defer unix.Close(leak)
	c := newContainer(t, image(t), `ls /proc/1/fd; echo; exec sleep 1000`)
	c.start()
	status := c.await(proto.ReportStarted).Status
	follow(t, c, "\n\n")
	if got := c.logged(); got != "0\n1\n2\n\n" {
		t.Errorf("the init has %q", got)
	}
	if _, f, out := c.exec(c.execOf(status, `ls /proc/$$/fd; :`)); f != nil || out != "0\n1\n2\n" {
		t.Errorf("the exec has %q, %v", out, f)
	}
}

// CVE-2019-5736: what runs in the container before its program is a sealed copy.
func TestProgramCannotBeOverwritten(t *testing.T) {
	before := sum(t)
	root := image(t)
	must(t, os.Remove(filepath.Join(root, "bin/sh")))
	must(t, os.WriteFile(filepath.Join(root, "bin/sh"), []byte("#!/proc/self/exe\n"), 0o755))
	c := newContainer(t, root, "")
	c.Spec.Process.Args = []string{"/bin/busybox", "sh", "-c", `echo ready; while :; do for p in /proc/[0-9]*; do [ $p != /proc/1 ] && (echo overwritten >$p/exe) 2>/dev/null; done; done`}
	c.Spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: append(dockerCaps, "CAP_SYS_PTRACE"), Effective: append(dockerCaps, "CAP_SYS_PTRACE"), Permitted: append(dockerCaps, "CAP_SYS_PTRACE")}
	c.start()
	status := c.await(proto.ReportStarted).Status
	follow(t, c, "ready")
	for range 100 {
		b := c.execOf(status, "")
		b.Process.Args = []string{"/bin/sh"}
		c.exec(b)
	}
	if after := sum(t); after != before {
		t.Error("the init program was changed")
	}
	if _, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", program(t).Fd()), unix.O_WRONLY|unix.O_CLOEXEC, 0); err == nil {
		// Root may open it; the seals are what holds.
		f, _ := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", program(t).Fd()), os.O_WRONLY, 0)
		if _, err := f.WriteAt([]byte("x"), 0); err == nil {
			t.Error("the sealed program was written")
		}
		f.Close()
	}
}

func sum(t *testing.T) [32]byte {
	h := sha256.New()
	_, err := io.Copy(h, io.NewSectionReader(program(t), 0, 1<<30))
	must(t, err)
	return [32]byte(h.Sum(nil))
}

// CVE-2025-31133: what masks must be the null device.
func TestMaskIsTheNullDevice(t *testing.T) {
	root := image(t)
	outside, untouched := canary(t)
	// The spec binds a directory of the container's choice at /dev, and null in it leads elsewhere.
	dev := t.TempDir()
	must(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dev, "null")))
	for _, null := range []string{"link", "file", "zero"} {
		path := filepath.Join(dev, "null")
		must(t, os.Remove(path))
		switch null {
		case "link":
			must(t, os.Symlink("/proc/sys/kernel/core_pattern", path))
		case "file":
			write(t, path, "")
		case "zero":
			must(t, unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))))
		}
		c := newContainer(t, root, "true")
		for i := range c.Spec.Mounts {
			if c.Spec.Mounts[i].Destination == "/dev" {
				c.Spec.Mounts[i] = specs.Mount{Destination: "/dev", Type: "bind", Source: dev, Options: []string{"rbind"}}
			}
		}
		if f := c.failure(); f.Stage != "mask" {
			t.Errorf("%s: %s", null, f.Error())
		}
	}
	untouched()
	// With the image's own /dev/null a link, ours covers it.
	must(t, os.Symlink("/proc/sys/kernel/core_pattern", filepath.Join(root, "dev/null")))
	c := newContainer(t, root, `stat -c '%F %t:%T' /dev/null /proc/timer_list; echo x >/proc/sys/kernel/core_pattern; echo x >/proc/sys/vm/drop_caches`)
	c.Spec.Linux.MaskedPaths = []string{"/proc/timer_list"}
	got := c.logOf()
	for _, want := range []string{"character special file 1:3\ncharacter special file 1:3\n", "core_pattern: Read-only", "drop_caches: Read-only"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
}

// logOf is the log of a container that may fail.
func (c *container) logOf() string {
	c.t.Helper()
	_, out := c.run()
	return out
}

// CVE-2026-41579 and CVE-2019-19921: directories of the image that the platform mounts on, as links.
func TestMountPointsThatAreLinks(t *testing.T) {
	for _, name := range []string{"dev", "proc", "sys"} {
		root := image(t)
		outside, untouched := canary(t)
		must(t, os.Remove(filepath.Join(root, name)))
		must(t, os.Symlink(outside, filepath.Join(root, name)))
		c := newContainer(t, root, "true")
		if f := c.failure(); f.Stage != "mount" || !strings.Contains(f.Error(), "symlink") {
			t.Errorf("%s: %s", name, f.Error())
		}
		untouched()
	}
	file := func(target string) mount.Mount {
		return mount.Mount{Type: "file", Target: target, File: &mount.File{Content: []byte("ours\n"), Mode: 0o644}}
	}
	for link, m := range map[string]mount.Mount{
		"etc":                  file("/etc/resolv.conf"),
		"etc/resolv.conf":      file("/etc/resolv.conf"),
		"run/secrets":          file("/run/secrets/key"),
		"data":                 {Type: "tmpfs", Target: "/data/new"},
		"data/../etc/hosts":    file("/etc/hosts"),
		"var/lib/deep/../../x": {Type: "tmpfs", Target: "/var/x/y"},
	} {
		root := image(t)
		outside, untouched := canary(t)
		path := filepath.Join(root, filepath.Clean(link))
		must(t, os.RemoveAll(path))
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.Symlink(outside, path))
		c := newContainer(t, root, "cat "+m.Target+"; mount | grep -c ' on "+outside+"'")
		c.Mounts = []mount.Mount{m}
		c.logOf() // contained: the link's path is made inside the container
		untouched()
	}
}

// The opposite fault: links that are right must work.
func TestLinksOfRealImagesWork(t *testing.T) {
	root := image(t)
	must(t, os.Mkdir(filepath.Join(root, "usr"), 0o755))
	must(t, os.Symlink("../../../../../run", filepath.Join(root, "usr/up")))
	must(t, os.Symlink("/srv/gone", filepath.Join(root, "dangling")))
	c := newContainer(t, root, "cat /run/a /run/sub/b /run/c /srv/gone/d; pwd")
	f := func(target, text string) mount.Mount {
		return mount.Mount{Type: "file", Target: target, File: &mount.File{Content: []byte(text), Mode: 0o644}}
	}
	c.Mounts = []mount.Mount{f("/var/run/a", "a\n"), f("/var/run/sub/b", "b\n"), f("/usr/up/c", "c\n"), f("/dangling/d", "d\n")}
	c.Spec.Process.Cwd = "/var/run/work"
	if got := c.output(); got != "a\nb\nc\nd\n/run/work\n" {
		t.Errorf("got %q", got)
	}
}

// GHSA-q6r4-3wmg-fwcq: a working directory that is made through a link of the image.
func TestWorkingDirThroughLink(t *testing.T) {
	root := image(t)
	outside, untouched := canary(t)
	must(t, os.Symlink(outside, filepath.Join(root, "srv")))
	c := newContainer(t, root, "pwd")
	c.Spec.Process.Cwd = "/srv/new"
	if got := c.output(); got != outside+"/new\n" {
		t.Errorf("got %q", got)
	}
	untouched()
}

// CVE-2021-25741, CVE-2017-1002101: a subpath that leads out of its volume, at once or while it is resolved.
func TestSubpathLeadsOut(t *testing.T) {
	root := image(t)
	volume := t.TempDir()
	outside, untouched := canary(t)
	must(t, os.Symlink("/", filepath.Join(volume, "evil")))
	must(t, os.Symlink(outside, filepath.Join(volume, "abs")))
	must(t, os.Symlink("../../../../../../.."+outside, filepath.Join(volume, "rel")))
	for _, sub := range []string{"evil" + outside, "abs", "rel", "../.." + outside, "evil/../../.." + outside} {
		c := newContainer(t, root, "cat /s/secret")
		c.Mounts = []mount.Mount{{Type: "bind", Source: volume, Target: "/s", Subpath: sub, Options: []string{"rbind"}}}
		if f := c.failure(); f.Stage != "volume" {
			t.Errorf("%s: %s", sub, f.Error())
		}
	}
	// "evil" alone is the volume itself.
	c := newContainer(t, root, "ls /s")
	c.Mounts = []mount.Mount{{Type: "bind", Source: volume, Target: "/s", Subpath: "evil", Options: []string{"rbind"}}}
	if got := c.output(); got != "abs\nevil\nrel\n" {
		t.Errorf("got %q", got)
	}
	// Exchanged all the time.
	must(t, os.Mkdir(filepath.Join(volume, "dir"), 0o755))
	must(t, os.Symlink(outside, filepath.Join(volume, "swap")))
	stop := swap(t, filepath.Join(volume, "dir"), filepath.Join(volume, "swap"))
	for range 60 {
		c := newContainer(t, root, "cat /s/secret")
		c.Mounts = []mount.Mount{{Type: "bind", Source: volume, Target: "/s", Subpath: "dir", Options: []string{"rbind"}}}
		c.start()
		for {
			r, ok := c.next()
			if !ok {
				break
			}
			if r.Type == proto.ReportFailed || r.Type == proto.ReportExited {
				break
			}
		}
		if strings.Contains(c.logged(), "the host's") {
			t.Fatal("the container read the host's file")
		}
	}
	stop()
	untouched()
}

// swap exchanges two names until it is stopped.
func swap(t *testing.T, a, b string) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			default:
				unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
			}
		}
	}()
	return func() { close(quit); <-done }
}

// CVE-2021-30465: a mount point inside a volume, which a sibling exchanges with a link.
func TestMountPointIsExchanged(t *testing.T) {
	root := image(t)
	volume, inner := t.TempDir(), t.TempDir()
	outside, untouched := canary(t)
	must(t, os.Mkdir(filepath.Join(volume, "point"), 0o755))
	must(t, os.Symlink("/../../../.."+outside, filepath.Join(volume, "link")))
	stop := swap(t, filepath.Join(volume, "point"), filepath.Join(volume, "link"))
	defer stop()
	deadline := time.Now().Add(2 * time.Second)
	for time.Now().Before(deadline) {
		c := newContainer(t, root, "echo written >/v/point/f")
		c.Mounts = []mount.Mount{bind(volume, "/v"), bind(inner, "/v/point"), {Type: "tmpfs", Target: "/v/point/deep"}}
		c.start()
		for {
			r, ok := c.next()
			if !ok || r.Type == proto.ReportFailed || r.Type == proto.ReportExited {
				break
			}
		}
	}
	untouched()
}

// The container's stdin is no way to the host's null device, whose mode it could change.
func TestNullDeviceIsNotTheHosts(t *testing.T) {
	sandbox.Require(t)
	// Not the machine's own, in case that the attack succeeds.
	stage := t.TempDir()
	must(t, unix.Mount("tmpfs", stage, "tmpfs", 0, ""))
	defer unix.Unmount(stage, unix.MNT_DETACH)
	must(t, unix.Mknod(filepath.Join(stage, "null"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
	must(t, os.Chmod(filepath.Join(stage, "null"), 0o666))
	must(t, unix.Mount(filepath.Join(stage, "null"), "/dev/null", "", unix.MS_BIND, ""))
	defer unix.Unmount("/dev/null", unix.MNT_DETACH)
	var before unix.Stat_t
	must(t, unix.Stat("/dev/null", &before))
	untouched := func(by string) {
		t.Helper()
		var after unix.Stat_t
		must(t, unix.Stat("/dev/null", &after))
		if after.Mode != before.Mode || after.Uid != before.Uid {
			t.Errorf("%s changed the host's /dev/null: mode %o, owner %d", by, after.Mode&0o7777, after.Uid)
		}
	}
	root := image(t)
	attack := `for f in 0 1 2; do chmod 640 /proc/$$/fd/$f; done; cat; echo done`
	c := newContainer(t, root, attack+"; exec sleep 1000")
	c.start()
	status := c.await(proto.ReportStarted).Status
	follow(t, c, "done")
	untouched("the container")
	if _, f, out := c.exec(c.execOf(status, attack)); f != nil || out != "done\n" {
		t.Errorf("exec: %v, %q", f, out)
	}
	untouched("an exec")
	// Without a null device of its own, or with something else of that name.
	for _, script := range []string{"rm /dev/null", "ln -s /dev/zero /dev/null", "rm /dev/null; echo no device >/dev/null"} {
		if _, f, out := c.exec(c.execOf(status, script)); f != nil {
			t.Fatalf("%s: %v, %q", script, f, out)
		}
		if _, f, out := c.exec(c.execOf(status, attack)); f != nil || out != "done\n" {
			t.Errorf("exec after %s: %v, %q", script, f, out)
		}
		untouched("an exec after " + script)
	}
}

// CVE-2016-9962 with CAP_SYS_PTRACE, against which no process can protect itself: nothing that the container's processes see
// has more than they have.
func TestExecComesWithNothing(t *testing.T) {
	c := newContainer(t, image(t), `echo ready; while :; do for p in /proc/[0-9]*; do [ $p = /proc/1 ] || while read k v; do case $k in CapPrm:|CapBnd:|Seccomp:) echo $k $v;; esac; done <$p/status; done 2>/dev/null; done`)
	names := append(dockerCaps, "CAP_SYS_PTRACE")
	c.Spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: names, Effective: names, Permitted: names}
	c.start()
	status := c.await(proto.ReportStarted).Status
	follow(t, c, "ready")
	for _, nnp := range []bool{false, true} {
		for range 30 {
			b := c.execOf(status, "grep -E 'CapPrm|Seccomp:|NoNew' /proc/self/status")
			b.Process.NoNewPrivileges = nnp
			if !nnp { // with no_new_privs the filter comes last
				b.Seccomp = (&[8]byte{0: unix.BPF_RET | unix.BPF_K, 6: 0xff, 7: 0x7f})[:]
			}
			_, f, out := c.exec(b)
			if want := map[bool]string{true: "NoNewPrivs:\t1\nSeccomp:\t0\n", false: "NoNewPrivs:\t0\nSeccomp:\t2\n"}[nnp]; f != nil || out != "CapPrm:\t00000000a80c25fb\n"+want {
				t.Fatalf("%v, %q", f, out)
			}
		}
	}
	seen := map[string]int{}
	for line := range strings.Lines(c.logged()) {
		seen[strings.TrimSpace(line)]++
	}
	delete(seen, "ready")
	t.Log(seen)
	for line := range seen {
		switch line {
		case "CapPrm: 00000000a80c25fb", "CapBnd: 00000000a80c25fb", "Seccomp: 2", "Seccomp: 0":
		default:
			t.Errorf("the container saw a process with %s", line)
		}
	}
	if len(seen) == 0 {
		t.Error("no exec was seen at all")
	}
}

// A filter that would stop what comes after it comes last, as it is for the program alone.
func TestExecUnderANarrowFilter(t *testing.T) {
	c := newContainer(t, image(t), "exec sleep 1000")
	c.start()
	status := c.await(proto.ReportStarted).Status
	b := c.execOf(status, "echo in")
	var filter []byte
	for _, in := range []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_CAPSET, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x80000000}, // kill
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x7fff0000},
	} {
		filter = binary.NativeEndian.AppendUint16(filter, in.Code)
		filter = binary.NativeEndian.AppendUint32(append(filter, in.Jt, in.Jf), in.K)
	}
	b.Seccomp = filter
	if exit, f, out := c.exec(b); f != nil || exit.Code != 0 || out != "in\n" {
		t.Errorf("%v, %v, %q", exit, f, out)
	}
}

// Whoever makes a container or an exec is in none of its cgroups, so no rule on devices holds for it: what lies there in place of a file is
// not opened. A device that no driver has tells who has tried.
func TestDevicesOfTheContainerAreNotOpened(t *testing.T) {
	const notOpened = "expected a regular file"
	root := image(t)
	passwd := filepath.Join(root, "etc/passwd")
	must(t, os.Rename(passwd, passwd+".file"))
	must(t, unix.Mknod(passwd, unix.S_IFCHR|0o666, int(unix.Mkdev(4000, 1))))
	if f := newContainer(t, root, "true").failure(); f.Detail != notOpened {
		t.Errorf("a start: %s", f.Error())
	}
	must(t, os.Remove(passwd))
	must(t, os.Rename(passwd+".file", passwd))

	caps := append(dockerCaps, "CAP_SYS_ADMIN")
	c := newContainer(t, root, "exec sleep 1000")
	c.Spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}
	c.start()
	status := c.await(proto.ReportStarted).Status
	script := func(script string) {
		t.Helper()
		if exit, f, out := c.exec(c.execOf(status, script)); f != nil || exit.Code != 0 {
			t.Fatalf("%s: %v, %v, %q", script, exit, f, out)
		}
	}
	script("busybox umount /dev/pts && busybox mknod /dev/pts/ptmx c 4000 1")
	b := c.execOf(status, "true")
	b.Process.Terminal = true
	if _, f, _ := c.exec(b); f == nil || !strings.Contains(f.Detail, "expected devpts") {
		t.Errorf("an exec with a terminal: %v", f)
	}
	script("busybox mv /etc/passwd /etc/file && busybox mknod /etc/passwd c 4000 1")
	if _, f, _ := c.exec(c.execOf(status, "true")); f == nil || f.Detail != notOpened {
		t.Errorf("an exec: %v", f)
	}
}

// The name of a sysctl is no way from those of a namespace to those of the host. The one that is set here is the container's own, in case that it is.
func TestSysctlLeadsOut(t *testing.T) {
	for _, key := range []string{"fs.mqueue.//.//.kernel.msgmax", "fs/mqueue/../../kernel/msgmax", "fs.mqueue.//"} {
		c := newContainer(t, image(t), "true")
		c.Spec.Linux.Sysctl = map[string]string{key: "12345"}
		if f := c.failure(); f.Stage != "sysctl" || f.Detail != "expected the name of a sysctl" {
			t.Errorf("%s: %s", key, f.Error())
		}
	}
}

// What is in the session keyring of whoever started the daemon is not for containers. /proc/keys shows an ordinary user what he possesses.
func TestKeysOfTheDaemon(t *testing.T) {
	root := image(t)
	runtime.LockOSThread() // and for good: the thread has another keyring from here on
	_, err := unix.KeyctlJoinSessionKeyring("stack-test")
	if err == unix.ENOSYS || err == unix.EPERM {
		t.Skip("SKIP: no keyrings here: " + err.Error())
	}
	must(t, err)
	_, err = unix.AddKey("user", "stack-test-secret", []byte("x"), unix.KEY_SPEC_SESSION_KEYRING)
	must(t, err)
	newContainer := func(script string) *container {
		c := newContainer(t, root, script)
		c.Spec.Linux.MaskedPaths = nil
		c.Spec.Process.User.Username = "web"
		return c
	}
	const keys = "cat /proc/keys; echo end"
	c := newContainer(keys + "; exec sleep 1000")
	c.start()
	status := c.await(proto.ReportStarted).Status
	follow(t, c, "end")
	b := c.execOf(status, keys)
	b.Process.User.Username = "web"
	_, f, out := c.exec(b)
	if f != nil || !strings.Contains(out, "end") {
		t.Fatalf("exec: %v, %q", f, out)
	}
	for who, out := range map[string]string{"the container": c.logged(), "an exec": out} {
		if !strings.Contains(out, "keyring") {
			t.Errorf("%s sees no keyring at all: %q", who, out)
		}
		if strings.Contains(out, "stack-test") {
			t.Errorf("%s has the daemon's keys: %q", who, out)
		}
	}
}
