package monitor_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/mount"
)

func TestExitCodes(t *testing.T) {
	root := image(t)
	write(t, filepath.Join(root, "bin/plain"), "no program")
	write(t, filepath.Join(root, "bin/orphan"), "#!/nonesuch\n")
	must(t, os.Chmod(filepath.Join(root, "bin/orphan"), 0o755))
	must(t, os.WriteFile(filepath.Join(root, "bin/garbage"), []byte{1, 2, 3}, 0o755))
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"nonesuch"}, 127, "not found in $PATH"},
		{[]string{"/nonesuch"}, 127, "no such file"},
		{[]string{"/bin/sh/x"}, 127, "no such file"},
		{[]string{"/etc"}, 126, "is a directory"},
		{[]string{"plain"}, 126, "permission denied"},
		{[]string{"orphan"}, 127, "interpreter"},
		{[]string{"garbage"}, 126, "exec format error"},
		{[]string{""}, 127, "empty"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			for _, init := range []bool{false, true} {
				c := newContainer(t, root, "")
				c.Init = init
				c.Spec.Process.Args = test.args
				f := c.failure()
				if f.ExitCode != test.code || f.Stage != "exec" || !strings.Contains(f.Error(), test.want) {
					t.Errorf("init %v: exit code %d: %s", init, f.ExitCode, f.Error())
				}
				c.ended()
				if _, err := os.Stat(c.ExitPath); err != nil {
					t.Error(err)
				}
				if left, err := os.ReadDir(c.RunDir); err != nil || len(left) > 0 {
					t.Errorf("left in the run directory: %v %v", left, err)
				}
			}
		})
	}
}

func TestSignals(t *testing.T) {
	c := newContainer(t, image(t), "kill -9 $$")
	// As PID 1 of a namespace a process cannot kill itself; below our init it can.
	c.Init = true
	exit, _ := c.run()
	if exit.Code != 137 {
		t.Errorf("exit %+v, want 137", exit)
	}
}

func TestInitReapsAndForwards(t *testing.T) {
	c := newContainer(t, image(t), `trap 'echo got; exit 5' TERM; (sh -c 'sleep 0.01 & exit' &); echo ready; while :; do sleep 0.05; done`)
	c.Init = true
	c.start()
	status := c.await("started").Status
	follow(t, c, "ready")
	must(t, unix.Kill(status.Pid, unix.SIGTERM))
	exit := c.await("exited").Exit
	if exit.Code != 5 || !strings.Contains(c.logged(), "got") {
		t.Errorf("exit %+v, log %q", exit, c.logged())
	}
}

func TestUsers(t *testing.T) {
	root := image(t)
	uid := uint32(1000)
	for _, test := range []struct {
		name   string
		user   specs.User
		groups []string
		want   string
	}{
		{"root", specs.User{}, nil, "uid=0(root) gid=0(root) groups=0(root) HOME=/root"},
		{"name", specs.User{Username: "web"}, nil, "uid=1000(web) gid=1001(web) groups=1001(web),2000(extra) HOME=/home/web"},
		{"number", specs.User{Username: "1000"}, nil, "uid=1000(web) gid=1001(web) groups=1001(web),2000(extra) HOME=/home/web"},
		{"name and group", specs.User{Username: "web:audio"}, nil, "uid=1000(web) gid=29(audio) groups=29(audio) HOME=/home/web"},
		{"number and number", specs.User{Username: "1234:4321"}, nil, "uid=1234 gid=4321 groups=4321 HOME=/"},
		{"unknown number", specs.User{Username: "1234"}, nil, "uid=1234 gid=0(root) groups=0(root) HOME=/"},
		{"more groups", specs.User{Username: "web"}, []string{"audio", "77"}, "uid=1000(web) gid=1001(web) groups=29(audio),77,1001(web),2000(extra) HOME=/home/web"},
		{"by id", specs.User{UID: uid, GID: 1001, AdditionalGids: []uint32{5}}, nil, "uid=1000(web) gid=1001(web) groups=5,1001(web) HOME=/home/web"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newContainer(t, root, `echo "$(id) HOME=$HOME"; echo x >/dev/stdout; touch /tmp/mine`)
			c.Spec.Process.User, c.Groups = test.user, test.groups
			if got := c.output(); got != test.want+"\nx\n" {
				t.Errorf("got %q\nwant %q", got, test.want)
			}
		})
	}
	for user, want := range map[string]string{"nobody": `no user "nobody"`, "web:staff": `no group "staff"`, "4294967295": "out of range"} {
		c := newContainer(t, root, "true")
		c.Spec.Process.User.Username = user
		if f := c.failure(); f.Stage != "user" || !strings.Contains(f.Error(), want) {
			t.Errorf("%s: %s", user, f.Error())
		}
	}
}

// CVE-2024-9676 and kin: the files of an image that are read with power are read within bounds.
func TestUserFilesAreBounded(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"endless device": func(p string) error { return unix.Mknod(p, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))) },
		"link to one":    func(p string) error { return os.Symlink("/dev/zero", p) },
		"fifo":           func(p string) error { return unix.Mkfifo(p, 0o644) },
		"gigabyte":       func(p string) error { must(t, os.WriteFile(p, nil, 0o644)); return os.Truncate(p, 1<<30) },
	} {
		t.Run(name, func(t *testing.T) {
			root := image(t)
			path := filepath.Join(root, "etc/group")
			must(t, os.Remove(path))
			must(t, spoil(path))
			c := newContainer(t, root, "true")
			if f := c.failure(); f.Stage != "user" || !strings.Contains(f.Error(), "/etc/group") {
				t.Errorf("%s", f.Error())
			}
		})
	}
	// A file of the host under an absolute link is not what the container sees.
	root := image(t)
	must(t, os.Remove(filepath.Join(root, "etc/passwd")))
	canary := filepath.Join(t.TempDir(), "passwd")
	write(t, canary, "host:x:77:77::/:/bin/sh\n")
	must(t, os.Symlink(canary, filepath.Join(root, "etc/passwd")))
	c := newContainer(t, root, "true")
	c.Spec.Process.User.Username = "host"
	if f := c.failure(); !strings.Contains(f.Error(), `no user "host"`) {
		t.Errorf("%s", f.Error())
	}
}

// status gives the lines of /proc/self/status that begin with these words.
const statusScript = `grep -E '^(Cap|NoNew|Seccomp:|Sig(Blk|Ign))' /proc/self/status`

func TestPrivileges(t *testing.T) {
	root := image(t)
	t.Run("docker's", func(t *testing.T) {
		c := newContainer(t, root, "exec "+statusScript)
		got := c.output()
		for _, want := range []string{"CapInh:\t0000000000000000", "CapPrm:\t00000000a80425fb", "CapEff:\t00000000a80425fb",
			"CapBnd:\t00000000a80425fb", "CapAmb:\t0000000000000000", "NoNewPrivs:\t0", "SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in\n%s", want, got)
			}
		}
	})
	t.Run("a user's", func(t *testing.T) {
		c := newContainer(t, root, "exec "+statusScript)
		c.Spec.Process.User.Username = "web"
		c.Spec.Process.NoNewPrivileges = true
		c.Spec.Process.Capabilities.Inheritable = []string{"CAP_NET_BIND_SERVICE"}
		c.Spec.Process.Capabilities.Ambient = []string{"CAP_NET_BIND_SERVICE"}
		got := c.output()
		for _, want := range []string{"CapPrm:\t0000000000000400", "CapEff:\t0000000000000400", "CapBnd:\t00000000a80425fb",
			"CapAmb:\t0000000000000400", "NoNewPrivs:\t1"} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in\n%s", want, got)
			}
		}
	})
	t.Run("seccomp without no_new_privs leaves no capability behind", func(t *testing.T) {
		for _, user := range []string{"", "web"} {
			c := newContainer(t, root, "exec "+statusScript)
			c.Spec.Process.User.Username = user
			c.Seccomp = denyKill()
			got := c.output()
			cap := "00000000a80425fb"
			if user != "" {
				cap = "0000000000000000"
			}
			if !strings.Contains(got, "CapEff:\t"+cap) || !strings.Contains(got, "CapPrm:\t"+cap) || !strings.Contains(got, "Seccomp:\t2") {
				t.Errorf("user %q:\n%s", user, got)
			}
		}
		c := newContainer(t, root, "kill -0 $$ || echo refused")
		c.Seccomp = denyKill()
		if got := c.output(); !strings.Contains(got, "refused") {
			t.Errorf("kill was not filtered: %q", got)
		}
	})
}

// denyKill is a filter that allows everything but kill, which every machine has under this one name.
func denyKill() []byte {
	insns := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_KILL, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x7fff0000},             // SECCOMP_RET_ALLOW
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x00050000 | uint32(1)}, // SECCOMP_RET_ERRNO, EPERM
	}
	var b []byte
	for _, i := range insns {
		b = append(b, byte(i.Code), byte(i.Code>>8), i.Jt, i.Jf, byte(i.K), byte(i.K>>8), byte(i.K>>16), byte(i.K>>24))
	}
	return b
}

func TestLimitsAndNames(t *testing.T) {
	c := newContainer(t, image(t), `ulimit -n; ulimit -H -n; cat /proc/sys/kernel/domainname /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/self/oom_score_adj; umask; pwd`)
	adj := 321
	umask := uint32(0o077)
	c.Spec.Domainname = "dom"
	c.Spec.Process.OOMScoreAdj = &adj
	c.Spec.Process.Cwd = "/made/here"
	c.Spec.Process.User.Umask = &umask
	c.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 123, Hard: 456}}
	c.Spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_unprivileged_port_start": "80"}
	if got, want := c.output(), "123\n456\ndom\n80\n321\n0077\n/made/here\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	c = newContainer(t, image(t), "true")
	c.Spec.Linux.Sysctl = map[string]string{"net.nonesuch": "1"}
	if f := c.failure(); f.Stage != "sysctl" || f.Path != "net.nonesuch" {
		t.Errorf("%s", f.Error())
	}
}

// The daemon's own limit, which Go raises at its start, is not what the program gets.
func TestOpenFilesLimitIsTheInheritedOne(t *testing.T) {
	var old unix.Rlimit
	must(t, unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1000, Max: 5000}, &old))
	defer unix.Prlimit(0, unix.RLIMIT_NOFILE, &old, nil)
	c := newContainer(t, image(t), "ulimit -n")
	if got := c.output(); got != "1000\n" {
		t.Errorf("got %q, want 1000", got)
	}
}

func TestUnsupportedIsRefusedByName(t *testing.T) {
	root := image(t)
	for want, change := range map[string]func(*container){
		`option "idmap"`: func(c *container) {
			c.Mounts = []mount.Mount{{Type: "tmpfs", Target: "/x", Options: []string{"idmap"}}}
		},
		`"RLIMIT_NONE"`: func(c *container) { c.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NONE"}} },
		"CAP_NONE":      func(c *container) { c.Spec.Process.Capabilities.Bounding = []string{"CAP_NONE"} },
		"nonesuch": func(c *container) {
			c.Mounts = []mount.Mount{{Type: "nonesuch", Target: "/x"}}
			c.Filesystems = c.Mounts
		},
		"nobody has mounted":   func(c *container) { c.Mounts = []mount.Mount{{Type: "ext4", Target: "/x"}} },
		"must be an absolute ": func(c *container) { c.Spec.Process.Cwd = "relative" },
	} {
		c := newContainer(t, root, "true")
		change(c)
		if f := c.failure(); !strings.Contains(f.Error(), want) || f.ExitCode != 125 {
			t.Errorf("want %q, got %d: %s", want, f.ExitCode, f.Error())
		}
	}
}
