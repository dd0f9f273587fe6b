package monitor_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/runtime/proto"
)

func bind(source, target string, options ...string) mount.Mount {
	return mount.Mount{Type: "bind", Source: source, Target: target, Options: append([]string{"rbind"}, options...)}
}

func TestBinds(t *testing.T) {
	sandbox.Require(t)
	host := t.TempDir()
	must(t, os.Mkdir(filepath.Join(host, "below"), 0o755))
	must(t, unix.Mount("tmpfs", filepath.Join(host, "below"), "tmpfs", 0, ""))
	defer unix.Unmount(filepath.Join(host, "below"), unix.MNT_DETACH)
	write(t, filepath.Join(host, "below/deep"), "deep\n")
	write(t, filepath.Join(host, "file"), "content\n")

	c := newContainer(t, image(t), `exec 2>&1; cat /data/file /data/below/deep /made/by/file; echo w >/data/written; echo w >/ro/x; echo w >/ro/below/x; echo w >/rro/below/y; ls /flat/below; cat /proc/mounts | grep -c /rro`)
	c.Mounts = []mount.Mount{
		bind(host, "/data"),
		{Type: "bind", Source: host, Target: "/flat", Options: []string{"bind"}},
		bind(filepath.Join(host, "file"), "/made/by/file", "ro"),
		bind(host, "/ro", "ro"),
		bind(host, "/rro", "rro"),
	}
	got := c.output()
	for _, want := range []string{"content\ndeep\ncontent\n", "can't create /ro/x: Read-only", "can't create /rro/below/y: Read-only"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "/ro/below/x") {
		t.Error("ro took the mounts below too: that is rro")
	}
	if b, err := os.ReadFile(filepath.Join(host, "written")); err != nil || string(b) != "w\n" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestMountFaultsNameTheirPlace(t *testing.T) {
	root := image(t)
	host := t.TempDir()
	write(t, filepath.Join(host, "file"), "")
	for _, test := range []struct {
		m    mount.Mount
		want string
	}{
		{bind("/nonesuch", "/x"), `volume: open "/nonesuch": no such file or directory: it is the source of the mount at /x`},
		{bind(host, "/bin/busybox"), "the target is a file; is the source a directory?"},
		{bind(filepath.Join(host, "file"), "/etc"), "the target is a directory; is the source a file?"},
		{bind(host, "/bin/busybox/x"), "not a directory"},
		{bind(host, "x"), "must be an absolute path"},
		{mount.Mount{Type: "bind", Source: host, Target: "/x", Subpath: "none"}, "must exist and must not lead out of the volume"},
		{mount.Mount{Type: "tmpfs", Target: "/x", Options: []string{"size=much"}}, "size=much"},
	} {
		c := newContainer(t, root, "true")
		c.Mounts = []mount.Mount{test.m}
		if f := c.failure(); !strings.Contains(f.Error(), test.want) {
			t.Errorf("want %q, got %s", test.want, f.Error())
		}
	}
}

func TestPropagation(t *testing.T) {
	sandbox.Require(t)
	host := t.TempDir()
	must(t, unix.Mount("tmpfs", host, "tmpfs", 0, ""))
	defer unix.Unmount(host, unix.MNT_DETACH)
	must(t, unix.Mount("", host, "", unix.MS_SHARED, ""))
	must(t, os.Mkdir(filepath.Join(host, "later"), 0o755))
	c := newContainer(t, image(t), `echo ready; while [ ! -e /slave/later/seen ]; do sleep 0.01; done; ls /private/later; grep -E '/(slave|private|shared) ' /proc/self/mountinfo`)
	c.Mounts = []mount.Mount{bind(host, "/private"), bind(host, "/slave", "rslave"), bind(host, "/shared", "rshared")}
	c.start()
	c.await("started")
	follow(t, c, "ready")
	must(t, unix.Mount("tmpfs", filepath.Join(host, "later"), "tmpfs", 0, ""))
	defer unix.Unmount(filepath.Join(host, "later"), unix.MNT_DETACH)
	write(t, filepath.Join(host, "later/seen"), "")
	c.await("exited")
	got := c.logged()
	if strings.Contains(got, "seen") || !strings.Contains(got, "/slave rw,relatime master:") || !strings.Contains(got, "/shared rw,relatime shared:") {
		t.Errorf("got\n%s", got)
	}
}

func TestTmpfsAndFiles(t *testing.T) {
	c := newContainer(t, image(t), `stat -c '%a %u %g %n' /t /run/secrets/key /etc/hosts; cat /run/secrets/key; echo more >>/etc/hosts && cat /etc/hosts; echo x >/run/secrets/key; touch /run/secrets/other; grep -c ' /run/secrets/key ' /proc/self/mountinfo`)
	c.Mounts = []mount.Mount{
		{Type: "file", Target: "/etc/hosts", File: &mount.File{Content: []byte("127.0.0.1 localhost\n"), Mode: 0o644, Writable: true}},
		{Type: "file", Target: "/run/secrets/key", File: &mount.File{Content: []byte("s3cret\n"), UID: 7, GID: 8, Mode: 0o4440}},
		{Type: "tmpfs", Source: "tmpfs", Target: "/t", Options: []string{"size=1m", "mode=0750", "uid=3", "gid=4", "noexec", "nosuid", "nodev"}},
	}
	got := c.output()
	for _, want := range []string{"750 3 4 /t\n", "4440 7 8 /run/secrets/key\n", "644 0 0 /etc/hosts\n", "s3cret\n", "127.0.0.1 localhost\nmore\n",
		"/run/secrets/key: Read-only file system"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	// Nothing of the content reaches the writable layer.
	if b, err := os.ReadFile(filepath.Join(c.Root[0].Upper, "run/secrets/key")); err != nil || len(b) > 0 {
		t.Errorf("in the layer: %q, %v", b, err)
	}
}

func TestReadOnlyRoot(t *testing.T) {
	c := newContainer(t, image(t), `touch /x; touch /made/y && echo fine`)
	c.Spec.Root.Readonly = true
	c.Mounts = []mount.Mount{{Type: "tmpfs", Target: "/made"}}
	if got := c.output(); !strings.Contains(got, "/x: Read-only file system") || !strings.Contains(got, "fine") {
		t.Errorf("got %q", got)
	}
}

func TestPlainRoot(t *testing.T) {
	root := image(t)
	c := newContainer(t, root, `touch /x; readlink /var/run`)
	c.Root = []mount.Mount{{Type: "bind", Source: root, Target: "/", Options: []string{"rbind"}}}
	if got := c.output(); got != "/run\n" {
		t.Errorf("got %q", got)
	}
	if _, err := os.Stat(filepath.Join(root, "x")); err != nil {
		t.Error(err)
	}
}

// More layers, with longer names, than one page or one fsconfig string can carry.
func TestManyLayers(t *testing.T) {
	base := image(t)
	long := filepath.Join(t.TempDir(), strings.Repeat("long", 60))
	must(t, os.Mkdir(long, 0o755))
	var lower []string
	for i := range 100 {
		dir := filepath.Join(long, fmt.Sprintf("layer:with,odd\\characters-%d", i))
		must(t, os.Mkdir(dir, 0o755))
		write(t, filepath.Join(dir, fmt.Sprintf("l%d", i)), "")
		write(t, filepath.Join(dir, "top"), fmt.Sprint(i))
		lower = append(lower, dir)
	}
	c := newContainer(t, base, "ls / | grep -c ^l[0-9]; cat /top")
	c.Root[0].Lower = append(lower, base)
	if got := c.output(); got != "100\n0" {
		t.Errorf("got %q", got)
	}
}

func TestSubpath(t *testing.T) {
	volume := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(volume, "a/b"), 0o755))
	write(t, filepath.Join(volume, "a/b/f"), "inside\n")
	must(t, os.Symlink("/a/b", filepath.Join(volume, "abs"))) // absolute, means the volume's own
	c := newContainer(t, image(t), "cat /s/f /l/f")
	c.Mounts = []mount.Mount{
		{Type: "bind", Source: volume, Target: "/s", Subpath: "a/b", Options: []string{"rbind"}},
		{Type: "bind", Source: volume, Target: "/l", Subpath: "abs", Options: []string{"rbind"}},
	}
	if got := c.output(); got != "inside\ninside\n" {
		t.Errorf("got %q", got)
	}
}

func TestCopyUp(t *testing.T) {
	root := image(t)
	data := filepath.Join(root, "data")
	must(t, os.MkdirAll(filepath.Join(data, "sub/deep"), 0o755))
	write(t, filepath.Join(data, "file"), "content\n")
	must(t, os.Chown(filepath.Join(data, "file"), 5, 6))
	must(t, unix.Chmod(filepath.Join(data, "file"), 0o4711))
	// trusted: a tmpfs before Linux 6.6 has no user attributes.
	must(t, unix.Setxattr(filepath.Join(data, "file"), "trusted.note", []byte("kept"), 0))
	must(t, os.Link(filepath.Join(data, "file"), filepath.Join(data, "sub/again")))
	must(t, os.Symlink("/nowhere", filepath.Join(data, "sub/link")))
	must(t, unix.Mkfifo(filepath.Join(data, "sub/fifo"), 0o600))
	must(t, unix.Mknod(filepath.Join(data, "sub/deep/null"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
	must(t, unix.Chmod(filepath.Join(data, "sub"), 0o1711))
	must(t, os.Chown(data, 70, 71))
	must(t, os.Chmod(data, 0o750))

	volume := t.TempDir()
	run := func(script string) string {
		c := newContainer(t, root, script)
		c.Mounts = []mount.Mount{{Type: "bind", Source: volume, Target: "/data", CopyUp: true, Options: []string{"rbind"}}}
		return c.output()
	}
	const list = `cd /data; stat -c '%a %u:%g %h %n' . file sub sub/again sub/deep; stat -c '%F %n' sub/fifo sub/deep/null; readlink sub/link; [ file -ef sub/again ] && echo same; cat file; ls -a`
	want := "750 70:71 3 .\n4711 5:6 2 file\n1711 0:0 3 sub\n4711 5:6 2 sub/again\n755 0:0 2 sub/deep\nfifo sub/fifo\ncharacter special file sub/deep/null\n/nowhere\nsame\ncontent\n.\n..\nfile\nsub\n"
	if got := run(list); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	value := make([]byte, 16)
	if n, err := unix.Getxattr(filepath.Join(volume, "file"), "trusted.note", value); err != nil || string(value[:n]) != "kept" {
		t.Errorf("xattr %q, %v", value[:max(n, 0)], err)
	}
	// What the volume holds stays, also when it is less than what the image has.
	must(t, os.RemoveAll(filepath.Join(volume, "sub")))
	if got := run("ls /data"); got != "file\n" {
		t.Errorf("filled a second time: %q", got)
	}
	// A copy that was killed is taken up again, and does not write over what is there.
	must(t, unix.Setxattr(volume, "trusted.stack.copyup", []byte("1"), 0))
	write(t, filepath.Join(volume, "file"), "mine\n")
	write(t, filepath.Join(volume, ".stack-copyup"), "half a fi")
	if got := run("cat /data/file; cd /data; ls -a . sub"); got != "mine\n.:\n.\n..\nfile\nsub\n\nsub:\n.\n..\nagain\ndeep\nfifo\nlink\n" {
		t.Errorf("after a cut off copy: %q", got)
	}
	if _, err := unix.Getxattr(volume, "trusted.stack.copyup", nil); err == nil {
		t.Error("the mark is still there")
	}
}

// The kernel's files say something of the machine, and the platform hides some of them.
func TestNoVolumeOverProcAndSys(t *testing.T) {
	root := image(t)
	must(t, os.Symlink("/proc/sys", filepath.Join(root, "data")))
	host := t.TempDir()
	write(t, filepath.Join(host, "cpuinfo"), "of lxcfs\n")
	volume := func(target string) mount.Mount {
		return mount.Mount{Type: "bind", Source: t.TempDir(), Target: target, CopyUp: true, Options: []string{"rbind"}}
	}
	for _, m := range []mount.Mount{
		volume("/proc"), volume("/proc/fs"), volume("/data"), volume("/sys"), volume("/sys/fs/cgroup"), volume("/bin/../sys/devices"),
		bind(t.TempDir(), "/proc"), bind(host, "/proc/sys"), {Type: "tmpfs", Target: "/proc/bus"},
		bind(filepath.Join(host, "cpuinfo"), "/proc/version"), bind("/proc/sys", "/proc/sys"),
	} {
		c := newContainer(t, root, "true")
		c.Mounts = []mount.Mount{m}
		if f := c.failure(); f.Stage != "volume" || !strings.Contains(f.Detail, "which is the kernel's") {
			t.Errorf("%s: %s", m.Target, f.Error())
		}
		if m.CopyUp {
			if entries, err := os.ReadDir(m.Source); err != nil || len(entries) > 0 {
				t.Errorf("%s was copied up: %v, %v", m.Target, entries, err)
			}
		}
	}
	// The platform relies on what is at /proc, whoever has put it there.
	c := newContainer(t, root, "true")
	c.Mounts = []mount.Mount{bind("/proc", "/proc"), bind(host, "/proc/sys")}
	if f := c.failure(); f.Stage != "volume" || !strings.Contains(f.Detail, "which is the kernel's") {
		t.Error(f.Error())
	}
	c = newContainer(t, root, "cat /all/proc/sys/cpuinfo")
	c.Mounts = []mount.Mount{bind("/proc", "/all/proc"), bind("/proc", "/all/proc"), bind(host, "/all/proc/sys")}
	if got := c.output(); got != "of lxcfs\n" {
		t.Errorf("got %q", got)
	}
	c = newContainer(t, root, "cat /proc/cpuinfo; mount | grep -c ' /sys/fs/cgroup '")
	c.Mounts = []mount.Mount{bind(filepath.Join(host, "cpuinfo"), "/proc/cpuinfo"), bind("/sys/fs/cgroup", "/sys/fs/cgroup", "ro")}
	if got := c.output(); !strings.HasPrefix(got, "of lxcfs\n2") && !strings.HasPrefix(got, "of lxcfs\n1") {
		t.Errorf("got %q", got)
	}
	// What is mounted below a volume's place is not the image's either.
	all := volume("/")
	c = newContainer(t, root, "true")
	c.Mounts = []mount.Mount{all}
	c.start()
	c.await(proto.ReportStarted)
	c.await(proto.ReportExited)
	for _, dir := range []string{"proc", "sys", "dev"} {
		if entries, err := os.ReadDir(filepath.Join(all.Source, dir)); err != nil || len(entries) > 0 {
			t.Errorf("/%s was copied up: %v, %v", dir, entries, err)
		}
	}
}

// TestCgroupView: a container sees the hierarchies that it is in, each by its name, and can write to none. Their file systems are the host's own, and stay
// as they are.
func TestCgroupView(t *testing.T) {
	c := newContainer(t, image(t), "cat /proc/self/mountinfo; cat /proc/self/cgroup")
	for i := range c.Spec.Mounts {
		if m := &c.Spec.Mounts[i]; m.Type == "cgroup" {
			m.Options = append(m.Options, "noatime")
		}
	}
	mounted, want := []string{}, []string{}
	for line := range strings.Lines(c.output()) {
		if number, h, ok := strings.Cut(line, ":"); ok && strings.Trim(number, "0123456789") == "" {
			controllers, _, _ := strings.Cut(h, ":")
			want = append(want, map[bool]string{true: "unified", false: strings.TrimPrefix(controllers, "name=")}[controllers == ""])
			continue
		}
		f := strings.Fields(line)
		below, ok := strings.CutPrefix(f[4], "/sys/fs/cgroup")
		if !ok {
			continue
		}
		// proc_pid_mountinfo(5): the mount's options are the sixth field, the file system's the last.
		if f[5] != "ro,nosuid,nodev,noexec,noatime" {
			t.Errorf("%s is mounted %s", f[4], f[5])
		}
		if below == "" {
			continue
		}
		mounted = append(mounted, below[1:])
		if !strings.HasPrefix(f[len(f)-1], "rw") || f[3] != "/" || f[6] != "-" { // no optional field: it is nobody's peer
			t.Errorf("of the file system: %s", line)
		}
	}
	if len(want) > 1 && !slices.Equal(mounted, want) {
		t.Errorf("there are %q, it is in %q", mounted, want)
	}
}
