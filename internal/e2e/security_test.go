package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLabelsGiveNoVolumesOfOthers: labels that look like the platform's own do not let a project mount or delete what is another's.
func TestLabelsGiveNoVolumesOfOthers(t *testing.T) {
	h := theHost(t)
	victim := newProject(t, h, "victim", map[string]string{"compose.yaml": `
services:
  db: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s, volumes: ["data:/data"]}
volumes:
  data:
`})
	victim.up()
	victim.sh("db", "echo precious >/data/f")
	p := newProject(t, h, "forger", map[string]string{"compose.yaml": `
services:
  app:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    volumes: [/data]
    labels:
      dev.stackrun.anonymous: '{"/data":"victim_data"}'
      dev.stackrun.remove: "true"
`})
	p.up()
	equal(t, "what the forger sees", p.sh("app", "ls /data"), "")
	p.sh("app", "echo own >/data/mine") // the canary: this is the anonymous volume, and it goes
	p.ok("run", "--rm", "-T", "app", "true")
	p.ok("down", "--volumes", "--timeout", "0")
	equal(t, "the victim's data", victim.sh("db", "cat /data/f"), "precious")
	equal(t, "in its directory", below(t, h.state("volumes", "victim_data", "_data"))[0], "f")
}

// TestContainersFilesAreClosedToTheHostsUsers: a set-user-ID file that a container makes in a volume must not be there for users of
// the host.
func TestContainersFilesAreClosedToTheHostsUsers(t *testing.T) {
	p := compose(t, "closed", `
services:
  app:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    volumes: ["data:/data"]
volumes:
  data:
`)
	p.up()
	p.sh("app", "cp /bin/busybox /data/suid && chmod 4755 /data/suid")
	info, err := os.Stat(p.host.state("volumes", "closed_data", "_data", "suid"))
	if err != nil || info.Mode()&os.ModeSetuid == 0 {
		t.Fatalf("the canary: %v, %v", info, err)
	}
	for _, dir := range []string{
		p.host.state(), p.host.state("volumes"), p.host.state("snapshots"), p.host.state("containers"), p.host.state("logs"),
		p.host.run("network"), p.host.run("netns"), p.host.run("containers"),
	} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
	equal(t, "a device node in the root filesystem", p.sh("app", "mknod /null c 1 3 && cat /null && echo opens"), "opens")
	if r := p.run("exec", "-T", "app", "sh", "-c", "mknod /data/null c 1 3 && cat /data/null"); r.code == 0 {
		t.Error("a device node in a volume opens")
	}
}

// TestDefaultLimits: a service that asks for nothing is bounded all the same, and not by what its daemon's shell had.
func TestDefaultLimits(t *testing.T) {
	p := compose(t, "bounded", `
services:
  app: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s}
  free: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s, pids_limit: -1, ulimits: {nofile: 2048}}
`)
	p.up()
	const tasks = "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null || true"
	equal(t, "tasks", p.sh("app", tasks), "4096")
	equal(t, "tasks of who lifts the bound", p.sh("free", tasks), "max")
	// As many as Docker's, or as this machine lets root have: tried here, on a shell of the host.
	most, err := exec.Command("sh", "-c", "ulimit -Hn 1048576 2>/dev/null; ulimit -Hn").Output()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "files", p.sh("app", "ulimit -Sn; ulimit -Hn"), string(most)+strings.TrimSpace(string(most)))
	equal(t, "files as the service says", p.sh("free", "ulimit -Sn; ulimit -Hn"), "2048\n2048")
}

// TestDaemonForgetsTheEnvironment: a daemon that a command starts does not keep that command's secrets.
func TestDaemonForgetsTheEnvironment(t *testing.T) {
	h := ownHost(t)
	h.env = append(h.env, "STACK_IDLE=1s", "DB_PASSWORD=hunter2")
	p := &project{t: t, host: h, name: "forget", dir: filepath.Join(t.TempDir(), "forget")}
	p.write("compose.yaml", "services:\n  app:\n    image: busybox\n    command: [sleep, infinity]\n    environment: [DB_PASSWORD]\n")
	t.Cleanup(func() { p.run("down", "--volumes", "--timeout", "0") })
	p.up()
	equal(t, "the container's own", p.sh("app", "echo $DB_PASSWORD"), "hunter2")
	found := false
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range environs {
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if !strings.Contains(string(line), "--auto-started") || !strings.Contains(string(line), h.state()) {
			continue
		}
		env, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found = true
		contains(t, "its environment", string(env), "STACK_STATE_ROOT=")
		if strings.Contains(string(env), "hunter2") {
			t.Error("the daemon keeps the secret")
		}
	}
	if !found {
		t.Error("there is no daemon that a command started")
	}
	p.ok("down", "--timeout", "0")
}
