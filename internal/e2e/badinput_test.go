package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
)

// TestBadInput: one clear message with place, cause and what to do, the documented exit code, and no
// half-made state: newProject checks that the machine is as it was before anything is taken down.
func TestBadInput(t *testing.T) {
	const web = "services:\n  web:\n    image: busybox\n    command: [sleep, infinity]\n"
	for _, tt := range []struct {
		name  string
		files map[string]string
		args  []string
		code  int
		want  []string
	}{
		{
			name: "no file at all",
			code: 1,
			want: []string{"no configuration file provided"},
		},
		{
			name: "a missing file",
			args: []string{"-f", "missing.yaml", "up", "-d"},
			code: 1,
			want: []string{"missing.yaml", "no such file"},
		},
		{
			name:  "bad YAML",
			files: map[string]string{"compose.yaml": "services:\n  web:\n    image: busybox\n   command: x\n"},
			code:  1,
			want:  []string{"compose.yaml:4"},
		},
		{
			name:  "unknown key",
			files: map[string]string{"compose.yaml": web + "    comand: [x]\n"},
			code:  1,
			want:  []string{"compose.yaml:5:5", "comand", "command"},
		},
		{
			name:  "unknown service on the command line",
			files: map[string]string{"compose.yaml": web},
			args:  []string{"up", "-d", "wbe"},
			code:  1,
			want:  []string{"wbe", "no such service"},
		},
		{
			name:  "unknown service in depends_on",
			files: map[string]string{"compose.yaml": web + "    depends_on: [db]\n"},
			code:  1,
			want:  []string{"compose.yaml:5:18", `"db"`},
		},
		{
			name: "cycle",
			files: map[string]string{"compose.yaml": "services:\n" +
				"  a:\n    image: busybox\n    depends_on: [b]\n" +
				"  b:\n    image: busybox\n    depends_on: [c]\n" +
				"  c:\n    image: busybox\n    depends_on: [a]\n"},
			code: 1,
			want: []string{"compose.yaml:", "cycle", "a -> b", "c -> a"},
		},
		{
			name:  "undefined network",
			files: map[string]string{"compose.yaml": web + "    networks: [back]\n"},
			code:  1,
			want:  []string{"compose.yaml:5:16", `"back"`, "network"},
		},
		{
			name:  "undefined volume",
			files: map[string]string{"compose.yaml": web + "    volumes: [\"data:/data\"]\n"},
			code:  1,
			want:  []string{"compose.yaml:5:15", `"data"`, "volume"},
		},
		{
			name:  "undefined secret",
			files: map[string]string{"compose.yaml": web + "    secrets: [key]\n"},
			code:  1,
			want:  []string{"compose.yaml:5:15", `"key"`, "secret"},
		},
		{
			name:  "a missing secret file",
			files: map[string]string{"compose.yaml": web + "    secrets: [key]\nsecrets:\n  key:\n    file: ./key.txt\n"},
			code:  1,
			want:  []string{"key.txt"},
		},
		{
			name:  "a required variable that is not set",
			files: map[string]string{"compose.yaml": web + "    user: ${WHO:?say who}\n"},
			code:  1,
			want:  []string{"compose.yaml:5:", "WHO", "say who"},
		},
		{
			name:  "a key of the language that is not supported",
			files: map[string]string{"compose.yaml": web + "    storage_opt: {size: 1G}\n"},
			code:  1,
			want:  []string{"compose.yaml:5:5", "storage_opt", "not supported"},
		},
		{
			name:  "an image that is not there",
			files: map[string]string{"compose.yaml": "services:\n  web:\n    image: busybox:no-such-tag\n    pull_policy: missing\n"},
			code:  1,
			want:  []string{"busybox:no-such-tag"},
		},
		{
			name:  "pull_policy never and no image",
			files: map[string]string{"compose.yaml": "services:\n  web:\n    image: nowhere/image:1\n    pull_policy: never\n"},
			code:  1,
			want:  []string{"nowhere/image:1", "never"},
		},
		{
			name: "an address outside the subnet",
			files: map[string]string{"compose.yaml": web + "    networks:\n      lan:\n        ipv4_address: 10.9.0.5\n" +
				"networks:\n  lan:\n    ipam:\n      config:\n        - subnet: 10.8.0.0/24\n"},
			code: 1,
			want: []string{"10.9.0.5", "10.8.0.0/24"},
		},
		{
			name:  "a bind whose source may not be created",
			files: map[string]string{"compose.yaml": web + "    volumes:\n      - type: bind\n        source: ./missing\n        target: /data\n        bind: {create_host_path: false}\n"},
			code:  1,
			want:  []string{"/bad/missing"},
		},
		{
			name:  "flags that exclude each other",
			files: map[string]string{"compose.yaml": web},
			args:  []string{"up", "-d", "--force-recreate", "--no-recreate"},
			code:  1,
			want:  []string{"--force-recreate", "--no-recreate"},
		},
		{
			name:  "an unknown flag",
			files: map[string]string{"compose.yaml": web},
			args:  []string{"up", "--detached"},
			code:  1,
			want:  []string{"--detached"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := theHost(t)
			p := newProject(t, h, "bad", tt.files)
			if err := os.MkdirAll(p.dir, 0o755); err != nil {
				t.Fatal(err)
			}
			before, err := sandbox.Take(h.objects()...)
			if err != nil {
				t.Fatal(err)
			}
			args := tt.args
			if args == nil {
				args = []string{"up", "--detach"}
			}
			r := p.fails(tt.code, tt.want, args...)
			if strings.Contains(r.stderr, "goroutine ") || strings.Count(strings.TrimSpace(r.stderr), "\n") > 12 {
				t.Errorf("the message is not clear: %s", r)
			}
			sandbox.Same(t, before, h.objects()...)
		})
	}
}

// TestPortTaken: found before anything changes, with the owner's name.
func TestPortTaken(t *testing.T) {
	const file = `
services:
  web:
    image: busybox
    command: [sleep, infinity]
    ports: ["127.0.0.1:18080:80"]
`
	h := theHost(t)
	t.Run("by a process", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:18080")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		p := compose(t, "porttaken", file)
		before, err := sandbox.Take(h.objects()...)
		if err != nil {
			t.Fatal(err)
		}
		exe := filepath.Base(os.Args[0])
		p.fails(1, []string{"127.0.0.1:18080", fmt.Sprint(os.Getpid()), exe[:min(len(exe), 15)]}, "up", "-d")
		sandbox.Same(t, before, h.objects()...)
	})
	t.Run("by another project", func(t *testing.T) {
		first := compose(t, "first", file)
		first.up()
		p := compose(t, "second", file)
		before, err := sandbox.Take(h.objects()...)
		if err != nil {
			t.Fatal(err)
		}
		p.fails(1, []string{"18080", "first-web-1"}, "up", "-d")
		sandbox.Same(t, before, h.objects()...)
	})
}

func TestCommandNotFound(t *testing.T) {
	p := compose(t, "nocommand", `
services:
  missing:
    image: busybox
    command: [no-such-program]
  directory:
    image: busybox
    command: [/etc]
`)
	p.fails(1, []string{"no-such-program", "not found"}, "up", "-d", "missing") // TestFailureAmongOthers: 127 in ps
	p.fails(127, []string{"no-such-program"}, "run", "--rm", "-T", "missing")
	p.fails(126, []string{"/etc"}, "run", "--rm", "-T", "directory")
	before := names(p.ids())
	p.fails(127, []string{"no-such-program"}, "run", "-T", "missing")
	p.fails(127, []string{"no-such-program"}, "run", "--detach", "missing")
	equal(t, "containers after those of which nothing has run", names(p.ids()), before)
}

// TestNotRoot: an ordinary user is told what is needed, and can still check a file.
func TestNotRoot(t *testing.T) {
	h := ownHost(t)
	dir := filepath.Join(t.TempDir(), "notroot")
	write(t, filepath.Join(dir, "compose.yaml"), "services:\n  web:\n    image: busybox\n")
	for d := dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	bin := filepath.Join(dir, "stack")
	b, err := os.ReadFile(h.bin)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bin, b, 0o755); err != nil {
		t.Fatal(err)
	}
	asNobody := func(args ...string) result {
		t.Helper()
		cmd := h.command(t.Context(), dir, args...)
		cmd.Path, cmd.Args = bin, append([]string{bin}, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		cmd.Run()
		if cmd.ProcessState == nil {
			t.Fatal("the command did not start")
		}
		return result{args, cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
	}
	r := asNobody("up", "-d")
	if r.code != 1 || !strings.Contains(r.stderr, "root") {
		t.Errorf("want exit code 1 and a word on root: %s", r)
	}
	if r := asNobody("config", "--services"); r.code != 0 || r.stdout != "web\n" {
		t.Errorf("config needs no root: %s", r)
	}
	if _, err := os.Stat(h.run()); err == nil {
		t.Errorf("%s was made", h.run())
	}
}

// TestFullDisk: a pull and a create that do not fit say so, and leave nothing that takes room or is used later.
func TestFullDisk(t *testing.T) {
	h := ownHost(t)
	if err := os.MkdirAll(h.state(), 0o711); err != nil {
		t.Fatal(err)
	}
	mountTmpfs(t, h.state(), "size=2560k") // of which the stores keep 1 MiB
	h.makeDirs(t)
	h.startDaemon(t)
	p := newProject(t, h, "full", map[string]string{"compose.yaml": "services:\n  web:\n    image: busybox\n    command: [sleep, infinity]\n"})
	p.fails(1, []string{"busybox", "no space left on device"}, "up", "-d")
	if n := len(p.ps()); n != 0 {
		t.Errorf("there are %d containers", n)
	}
	if err := unix.Mount("", h.state(), "", unix.MS_REMOUNT, "size=256m"); err != nil {
		t.Fatal(err)
	}
	p.up() // with room, the same command works: nothing half-made is in its way
}

// TestDaemonOfAnotherVersion: told, with what to do, and nothing happens.
func TestDaemonOfAnotherVersion(t *testing.T) {
	h := ownHost(t)
	cli := *h
	var version string
	h.bin, version = otherVersion(t, h)
	h.startDaemon(t)
	p := newProject(t, &cli, "versions", map[string]string{"compose.yaml": "services:\n  web:\n    image: busybox\n"})
	t.Cleanup(func() { cli.bin = h.bin }) // before the project's own clean-up, which talks to that daemon
	p.fails(1, []string{"version", version}, "up", "-d")
}

// otherVersion is a copy of the binary in which the version is another text of the same length.
func otherVersion(t *testing.T, h *host) (bin, version string) {
	t.Helper()
	old := strings.TrimSpace(h.exec(t, h.dir, "", nil, "version", "--short").stdout)
	if len(old) < 5 {
		t.Fatalf("the version %q is too short to be found in the binary", old)
	}
	program, err := os.ReadFile(h.bin)
	if err != nil {
		t.Fatal(err)
	}
	version = strings.Repeat("9", len(old))
	program = bytes.ReplaceAll(program, []byte(old), []byte(version))
	bin = filepath.Join(h.dir, "stack-of-another-version")
	if err := os.WriteFile(bin, program, 0o755); err != nil {
		t.Fatal(err)
	}
	return bin, version
}

func mountTmpfs(t *testing.T, dir, options string) {
	t.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	// The daemon that uses it ends later, with its host.
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// TestCycleByContainerName: services that live in each other's namespaces by the names of their containers are a cycle for config as for up, told with the line that says so.
func TestCycleByContainerName(t *testing.T) {
	p := compose(t, "ring", `
services:
  a: {image: busybox, container_name: one, network_mode: "container:two"}
  b: {image: busybox, container_name: two, network_mode: "container:one"}
`)
	for _, args := range [][]string{{"config", "--quiet"}, {"up", "--detach"}} {
		p.fails(1, []string{"compose.yaml:3:58: error: cycle: services depend on each other: a -> b", "b -> a (compose.yaml:4:58)"}, args...)
	}
}

// TestHashOfMissingFile: a file that is not there is told with its place in the Compose file, whichever command reads it.
func TestHashOfMissingFile(t *testing.T) {
	p := compose(t, "filegone", `
services:
  app: {image: busybox, command: [sleep, infinity], secrets: [key], configs: [rules]}
secrets:
  key: {file: ./key.txt}
configs:
  rules: {file: ./rules.txt}
`)
	for _, args := range [][]string{{"config", "--hash", "*"}, {"up", "--detach"}} {
		p.fails(1, []string{"compose.yaml:5:15: error: the file of a secret cannot be read", "compose.yaml:7:17: error: the file of a config cannot be read", "^"}, args...)
	}
}
