package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestVolumesFrom(t *testing.T) {
	other := compose(t, "lender", `
services:
  store:
    image: busybox
    command: sleep 1000
    init: true
    volumes: ["outside:/outside"]
volumes: {outside: {}}
`)
	other.up()
	other.sh("store", "echo far > /outside/f")
	p := compose(t, "borrower", `
services:
  db:
    image: busybox
    command: sleep 1000
    init: true
    volumes: ["data:/data", "/anonymous", "./src:/src", "shadowed:/mine"]
    tmpfs: [/fast]
  reader:
    image: busybox
    command: sleep 1000
    init: true
    volumes: ["own:/mine"]
    volumes_from: ["db:ro", "container:lender-store-1"]
  further:
    image: busybox
    command: sleep 1000
    init: true
    volumes_from: [reader]
volumes: {data: {}, own: {}, shadowed: {}}
`)
	p.up()
	p.sh("db", "echo near > /data/f; echo none > /anonymous/f; echo bind > /src/f; echo db > /mine/f; echo m > /fast/f")
	p.sh("reader", "echo own > /mine/f")
	const look = "cat /data/f /anonymous/f /src/f /outside/f /mine/f; ls /fast 2>&1; touch /data/g 2>&1; touch /outside/"
	for _, service := range []string{"reader", "further"} {
		got := p.sh(service, look+service+" && echo written")
		contains(t, service, got, "near\nnone\nbind\nfar\nown", "/fast: No such file", "/data/g: Read-only file system", "written")
	}
	other.sh("store", "rm /outside/reader /outside/further")
	p.ok("up", "-d", "--force-recreate", "-t", "1", "db")
	p.ok("restart", "-t", "1", "reader")
	contains(t, "reader after a recreate of db", p.sh("reader", "cat /data/f /anonymous/f"), "near\nnone")
	p.write("compose.yaml", `
services:
  alone: {image: busybox, command: sleep 1000, volumes_from: ["container:nobody"]}
`)
	p.fails(1, []string{`cannot take the volumes of "container:nobody"`}, "up", "-d", "--remove-orphans", "-t", "0")
}

func TestExternalLinks(t *testing.T) {
	other := compose(t, "far", `
services:
  store: {image: busybox, command: sleep 1000, init: true}
networks: {default: {name: meeting}}
`)
	other.up()
	p := compose(t, "near", `
services:
  app:
    image: busybox
    command: sleep 1000
    init: true
    external_links: ["far-store-1:Database", "far-store-1"]
  stranger: {image: busybox, command: sleep 1000, init: true}
networks: {default: {name: meeting, external: true}}
`)
	p.up()
	addr := other.sh("store", "hostname -i")
	for _, name := range []string{"database", "DATABASE", "far-store-1"} {
		contains(t, name, p.sh("app", "nslookup "+name+" 127.0.0.11 | tail -n 3"), addr)
	}
	if r := p.run("exec", "-T", "stranger", "nslookup", "database", "127.0.0.11"); r.code == 0 {
		t.Errorf("a container without the link knows its alias: %s", r)
	}
	p.ok("down", "-t", "0")
}

func TestDeviceRules(t *testing.T) {
	p := compose(t, "rules", `
services:
  with: {image: busybox, command: sleep 1000, init: true, device_cgroup_rules: ["c 10:229 rwm"]}
  without: {image: busybox, command: sleep 1000, init: true}
  wrong: {image: busybox, command: sleep 1000, device_cgroup_rules: ["c 10:229"], profiles: [wrong]}
`)
	p.up()
	const open = "mknod /k c 10 229 && head -c 0 /k 2>&1; echo"
	if got := p.sh("with", open); strings.Contains(got, "not permitted") {
		t.Errorf("the device of the rule cannot be opened: %s", got)
	}
	contains(t, "without a rule", p.sh("without", open), "not permitted")
	p.fails(1, []string{"device_cgroup_rules", "c 188:* rmw"}, "--profile", "wrong", "up", "-d", "wrong")
}

func TestBlkIO(t *testing.T) {
	disk, numbers := "", ""
	dirs, _ := filepath.Glob("/sys/block/*/dev")
	for _, dir := range dirs {
		dev := "/dev/" + filepath.Base(filepath.Dir(dir))
		raw, err := os.ReadFile(dir)
		if _, there := os.Stat(dev); err == nil && there == nil {
			disk, numbers = dev, strings.TrimSpace(string(raw))
		}
	}
	if disk == "" {
		t.Skip("this machine has no block device")
	}
	p := compose(t, "blkio", fmt.Sprintf(`
services:
  app:
    image: busybox
    command: sleep 1000
    init: true
    blkio_config:
      device_read_bps: [{path: %[1]s, rate: 1mb}]
      device_write_iops: [{path: %[1]s, rate: 100}]
  wrong:
    image: busybox
    profiles: [wrong]
    blkio_config: {weight: 5, device_read_bps: [{path: /dev/null, rate: 1}]}
`, disk))
	p.up()
	got := p.sh("app", "cat /sys/fs/cgroup/blkio/blkio.throttle.*_device /sys/fs/cgroup/io.max 2>/dev/null; true")
	if !strings.Contains(got, numbers+" 1048576") && !strings.Contains(got, numbers+" rbps=1048576") {
		t.Errorf("no bound on %s: %q", numbers, got)
	}
	if !strings.Contains(got, numbers+" 100") && !strings.Contains(got, "wiops=100") {
		t.Errorf("no bound on operations of %s: %q", numbers, got)
	}
	p.fails(1, []string{"compose.yaml:13:", "expected 10 to 1000"}, "--profile", "wrong", "up", "-d", "wrong")
}
