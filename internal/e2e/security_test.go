package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
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
}

// TestDeviceNodesInVolumesOpenNothing, whichever container made them. The volumes are where nothing else forbids it.
func TestDeviceNodesInVolumesOpenNothing(t *testing.T) {
	h := ownHost(t)
	if err := os.MkdirAll(h.state(), 0o711); err != nil {
		t.Fatal(err)
	}
	mountTmpfs(t, h.state(), "size=256m")
	h.makeDirs(t)
	h.startDaemon(t)
	p := newProject(t, h, "nodes", map[string]string{"compose.yaml": `
services:
  app:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    volumes: ["data:/data"]
volumes:
  data:
`})
	p.up()
	equal(t, "the canary: one in the root filesystem", p.sh("app", "mknod /null c 1 3 && cat /null && echo opens"), "opens")
	p.sh("app", "mknod /data/null c 1 3")
	if r := p.run("exec", "-T", "app", "cat", "/data/null"); r.code == 0 {
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
	t.Cleanup(p.takeDownWholly)
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
			continue // a child of the daemon's that has just ended, or become another program
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

// TestNoAbstractSockets: a container on the host's network shares its abstract sockets (unix(7)), which no mode guards: none may be
// ours (CVE-2020-15257 was containerd's).
func TestNoAbstractSockets(t *testing.T) {
	p := compose(t, "abstract", `
services:
  app: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s, network_mode: host, tty: true, init: true}
  probed: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s, healthcheck: {test: [CMD, "true"], interval: 1s}}
`)
	p.up()
	sockets := p.sh("app", "cat /proc/net/unix")
	contains(t, "the canary: the host's sockets", sockets, p.host.run("stack.sock"))
	for line := range strings.Lines(sockets) {
		if fields := strings.Fields(line); len(fields) > 7 && strings.HasPrefix(fields[7], "@") {
			t.Errorf("an abstract socket: %s", line)
		}
	}
}

// TestMountsDoNotLeaveTheContainer: what a container with the power to mount mounts in a bind stays its own, unless the file asks for
// propagation.
func TestMountsDoNotLeaveTheContainer(t *testing.T) {
	theHost(t) // before anything is mounted: the machine is the sandbox then
	dir := filepath.Join(t.TempDir(), "shared")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	mountTmpfs(t, dir, "size=1m")
	if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"kept", "given"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const service = "{image: busybox, command: [sleep, infinity], stop_grace_period: 0s, cap_add: [SYS_ADMIN], security_opt: [seccomp=unconfined], volumes: [{type: bind, source: %s, target: /m%s}]}\n"
	p := compose(t, "mounts", "services:\n  private: "+fmt.Sprintf(service, dir, "")+"  shared: "+fmt.Sprintf(service, dir, ", bind: {propagation: rshared}"))
	p.up()
	p.sh("private", "mount -t tmpfs tmpfs /m/kept && touch /m/kept/f")
	p.sh("shared", "mount -t tmpfs tmpfs /m/given && touch /m/given/f")
	if _, err := os.Stat(filepath.Join(dir, "kept", "f")); err == nil {
		t.Error("a mount came out of the container")
	}
	if _, err := os.Stat(filepath.Join(dir, "given", "f")); err != nil {
		t.Errorf("the canary: with rshared it does: %v", err)
	}
	p.sh("shared", "umount /m/given")
}

// TestGatewayCannotBeTakenOver: a container that claims by ARP the addresses of the gateway and of a published neighbour gets neither
// what others send to the world nor what the world sends to the neighbour.
func TestGatewayCannotBeTakenOver(t *testing.T) {
	p := compose(t, "arp", `
services:
  victim: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s}
  friend: {image: busybox, command: [sh, -c, "echo mine >/index.html && exec httpd -f -p 80 -h /"], stop_grace_period: 0s, ports: ["127.0.0.1:18085:80"]}
  # With NET_ADMIN busybox can do what a program of one's own can with raw sockets.
  thief: {image: busybox, command: [sh, -c, "echo stolen >/index.html && exec httpd -f -p 80 -h /"], stop_grace_period: 0s, cap_add: [NET_ADMIN]}
`)
	p.up()
	p.serves("18085")
	gateway := p.sh("victim", `ip route | sed -n 's/^default via \([0-9.]*\).*/\1/p'`)
	friend := p.sh("friend", `ip -4 -o addr show eth0 | sed 's/.*inet \([0-9.]*\).*/\1/'`)
	thief := p.sh("thief", "cat /sys/class/net/eth0/address")
	mac := func(of string) string {
		return p.sh("victim", "ping -c1 -W30 "+of+" >/dev/null; ip neigh show "+of+` | sed -n 's/.*lladdr \([0-9a-f:]*\).*/\1/p'`)
	}
	before := mac(gateway)
	if before == "" || before == thief || mac(friend) == thief {
		t.Fatalf("before the attack the victim has the gateway at %q", before)
	}
	p.sh("thief", "ip addr add "+gateway+"/32 dev eth0; ip addr add "+friend+"/32 dev eth0")
	const attack = "for how in A U; do for a in %s %s; do arping -q -c1 -$how -I eth0 -s $a $a; done; done; true"
	// The canary: between containers the attack works, as with other platforms.
	p.eventually("the victim believes the thief to be the neighbour", func() bool {
		p.sh("thief", fmt.Sprintf(attack, gateway, friend))
		return mac(friend) == thief
	})
	equal(t, "the gateway after the attack", mac(gateway), before)
	for range 3 {
		code, body, _, err := get("http://127.0.0.1:18085/")
		if err != nil || code != 200 || body != "mine\n" {
			t.Errorf("the published port answers %d, %q, %v", code, body, err)
		}
		p.sh("thief", fmt.Sprintf(attack, gateway, friend))
	}
}
