package boot

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/mount"
)

const passwd = "# comment\nroot:x:0:0:root:/root:/bin/sh\n\nweb:x:1000:1001::/home/web:/bin/sh\n7:x:70:71::/seven:\nbroken\nodd:x:a:b::/\n"
const group = "root:x:0:\nweb:x:1001:\nextra:x:2000:other,web\n9:x:90:\n"

func TestIdentify(t *testing.T) {
	for _, test := range []struct {
		user   string
		more   []string
		uid    int
		gid    int
		groups []int
		home   string
		fault  string
	}{
		{user: "web", uid: 1000, gid: 1001, groups: []int{1001, 2000}, home: "/home/web"},
		{user: "1000", uid: 1000, gid: 1001, groups: []int{1001, 2000}, home: "/home/web"},
		{user: "web:extra", uid: 1000, gid: 2000, groups: []int{2000}, home: "/home/web"},
		{user: "5:6", uid: 5, gid: 6, groups: []int{6}, home: "/"},
		{user: "7", uid: 70, gid: 71, groups: []int{71}, home: "/seven"}, // a name of digits wins
		{user: "5:9", uid: 5, gid: 90, groups: []int{90}, home: "/"},
		{user: ":extra", uid: 0, gid: 2000, groups: []int{2000}, home: "/root"},
		{user: "0", more: []string{"extra", "4"}, uid: 0, gid: 0, groups: []int{0, 4, 2000}, home: "/root"},
		{user: "none", fault: `no user "none"`},
		{user: "-1", fault: `no user "-1"`},
		{user: "4294967295", fault: "out of range"},
		{user: "web:none", fault: `no group "none"`},
	} {
		who, err := identify(specs.User{Username: test.user}, test.more, []byte(passwd), []byte(group))
		if test.fault != "" {
			if err == nil || !strings.Contains(err.Error(), test.fault) {
				t.Errorf("%s: got %v, want %q", test.user, err, test.fault)
			}
			continue
		}
		if err != nil || who.uid != test.uid || who.gid != test.gid || !slices.Equal(who.groups, test.groups) || who.home != test.home {
			t.Errorf("%s: got %+v, %v, want %+v", test.user, who, err, test)
		}
	}
}

func FuzzIdentify(f *testing.F) {
	f.Add("web:extra", passwd, group)
	f.Add(":", "::::::", ":::")
	f.Add("1", strings.Repeat("x", 100), "\x00:\n")
	f.Fuzz(func(t *testing.T, user, passwd, group string) {
		who, err := identify(specs.User{Username: user}, nil, []byte(passwd), []byte(group))
		if err != nil {
			return
		}
		if who.uid < 0 || who.gid < 0 || !slices.Contains(who.groups, who.gid) {
			t.Errorf("%q: %+v", user, who)
		}
	})
}

func TestParseOptions(t *testing.T) {
	o, err := parseOptions([]string{"rbind", "ro", "nosuid", "rnoexec", "rslave", "noatime", "defaults"})
	want := options{bind: true, recursive: true, set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOATIME,
		clr: unix.MOUNT_ATTR__ATIME, rset: unix.MOUNT_ATTR_NOEXEC, spread: unix.MS_SLAVE, rspread: true}
	if err != nil || o.data != nil || o.bind != want.bind || o.recursive != want.recursive || o.set != want.set || o.clr != want.clr ||
		o.rset != want.rset || o.rclr != 0 || o.spread != want.spread || o.rspread != want.rspread {
		t.Errorf("got %+v, %v", o, err)
	}
	// The later word wins.
	if o, _ = parseOptions([]string{"ro", "rw"}); o.set != 0 || o.clr != unix.MOUNT_ATTR_RDONLY {
		t.Errorf("ro,rw: %+v", o)
	}
	if o, _ = parseOptions([]string{"size=64k", "newinstance", "ro"}); !slices.Equal(o.data, []string{"size=64k", "newinstance"}) {
		t.Errorf("data: %+v", o)
	}
	if _, err := parseOptions([]string{"idmap"}); err == nil {
		t.Error("idmap was taken")
	}
}

func TestSysctlPath(t *testing.T) {
	for key, want := range map[string]string{
		"net.ipv4.ip_forward":              "sys/net/ipv4/ip_forward",
		"net/ipv4/conf/eth0.100/rp_filter": "sys/net/ipv4/conf/eth0.100/rp_filter",
		"net.ipv4.conf.eth0/100.rp_filter": "sys/net/ipv4/conf/eth0.100/rp_filter",
	} {
		if got := sysctlPath(key); got != want {
			t.Errorf("%s: got %s, want %s", key, got, want)
		}
	}
}

func TestParseHierarchies(t *testing.T) {
	got := parseHierarchies([]byte("4:cpu,cpuacct:/a:b\n1:name=systemd:/\n0::/x\n"))
	want := []hierarchy{{"cpu,cpuacct", "/a:b"}, {"name=systemd", "/"}, {"", "/x"}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestResolveStaysInside(t *testing.T) {
	dir := t.TempDir()
	root, outside := filepath.Join(dir, "root"), filepath.Join(dir, "outside")
	for _, d := range []string{root, outside, filepath.Join(root, "a/b")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"abs": outside, "up": "../../../../" + outside, "a/back": "/a/b", "loop": "loop", "a/b/dangling": "../new"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for path, want := range map[string]string{
		"/a/back/x/y":             "/a/b/x/y",
		"/../../z":                "/z",
		"/a/b/dangling/in":        "/a/new/in",
		"/a/b/../../a/b/./q/../r": "/a/b/r",
		"/abs/made":               outside + "/made",
		"/up/made2":               outside + "/made2",
	} {
		got, err := resolve(fd, path, directory)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		name, err := os.Readlink(procPath(got))
		unix.Close(got)
		if err != nil || name != root+want {
			t.Errorf("%s: resolved to %s, want %s", path, name, root+want)
		}
	}
	if _, err := resolve(fd, "/loop/x", directory); !errors.Is(err, unix.ELOOP) {
		t.Errorf("loop: %v", err)
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("something was made outside: %v", left)
	}
}

func TestLookEnvTakesTheLast(t *testing.T) {
	if v, ok := lookEnv([]string{"A=1", "AB=2", "A=3"}, "A"); v != "3" || !ok {
		t.Errorf("got %q %v", v, ok)
	}
}

// A change of user makes a process dumpable where fs.suid_dumpable says so. One that is to be nobody's to look into takes that back at once.
func TestChangeOfUserLeavesNobodyIn(t *testing.T) {
	s := new(script)
	s.privileges(&identity{uid: 1000, gid: 1000}, &capSets{}, false, 0)
	after := false
	for _, c := range s.calls {
		switch {
		case c.nr == unix.SYS_SETRESUID, c.nr == unix.SYS_SETRESGID:
			after = true
		case after && c.nr == unix.SYS_PRCTL && c.args[0] == unix.PR_SET_DUMPABLE && c.args[1] == 0:
			after = false
		}
	}
	if after {
		t.Errorf("the last change of user is followed by no PR_SET_DUMPABLE: %+v", s.names)
	}
}

// TestSplitAtInit: what shows processes or cgroups waits for the init, and so does what lies below it; all else comes before, in its order.
func TestSplitAtInit(t *testing.T) {
	at := func(kind, target string) source { return source{Mount: mount.Mount{Type: kind, Target: target}} }
	targets := func(all []source) (out []string) {
		for _, s := range all {
			out = append(out, s.Target)
		}
		return out
	}
	early, late := splitAtInit([]source{
		at("proc", "/proc"), at("tmpfs", "/dev"), at("devpts", "/dev/pts"), at("sysfs", "/sys"), at("cgroup", "/sys/fs/cgroup"),
		at("tmpfs", "/proc/scsi"), at("tmpfs", "/processes"), at("tmpfs", "/sys/fs/cgroup/own"), at("tmpfs", "/proc"),
	})
	if got, want := targets(early), []string{"/dev", "/dev/pts", "/sys", "/processes"}; !slices.Equal(got, want) {
		t.Errorf("before the init: %q, expected %q", got, want)
	}
	if got, want := targets(late), []string{"/proc", "/sys/fs/cgroup", "/proc/scsi", "/sys/fs/cgroup/own", "/proc"}; !slices.Equal(got, want) {
		t.Errorf("after it: %q, expected %q", got, want)
	}
}
