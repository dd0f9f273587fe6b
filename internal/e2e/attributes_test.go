package e2e

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stackrun/stack/runtime"
)

// TestAttributesTakeEffect: what a container has by attributes that no other test looks at from inside of one, with either version of control groups.
func TestAttributesTakeEffect(t *testing.T) {
	const sleeper = "image: busybox, command: [sleep, infinity], stop_grace_period: 0s"
	p := compose(t, "attrs", `
services:
  plain: {`+sleeper+`}
  quota: {`+sleeper+`, cpu_quota: 30000, cpu_period: 60000}
  memory: {`+sleeper+`, mem_limit: 64m, mem_swappiness: 10, oom_kill_disable: true}
  owner: {`+sleeper+`, ipc: shareable}
  guest: {`+sleeper+`, ipc: "service:owner", pid: "service:owner"}
  host: {`+sleeper+`, ipc: host, pid: host, uts: host, userns_mode: host, network_mode: host}
  strict: {`+sleeper+`, security_opt: [no-new-privileges]}
  free: {`+sleeper+`, security_opt: [seccomp=unconfined]}
  device: {`+sleeper+`, devices: ["/dev/kmsg:/dev/written:w"]}
  noted: {`+sleeper+`, annotations: {dev.example/a: "b c"}}
`)
	up := p.run("up", "--detach", "--wait")
	if up.code != 0 {
		t.Fatal(up)
	}
	v2 := false
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		v2 = true
	}
	inV1 := func(file string) string { return "cat /sys/fs/cgroup/" + file }

	if v2 {
		equal(t, "cpu_quota, cpu_period", p.sh("quota", inV1("cpu.max")), "30000 60000")
		// What this version has not is said.
		contains(t, "mem_swappiness", up.stderr, "swappiness: cgroup v2 has none")
		contains(t, "oom_kill_disable", up.stderr, "OOM killer disabled: cgroup v2 cannot")
	} else {
		equal(t, "cpu_quota, cpu_period", p.sh("quota", inV1("cpu/cpu.cfs_quota_us")+"; "+inV1("cpu/cpu.cfs_period_us")), "30000\n60000")
		equal(t, "mem_swappiness", p.sh("memory", inV1("memory/memory.swappiness")), "10")
		contains(t, "oom_kill_disable", p.sh("memory", inV1("memory/memory.oom_control")), "oom_kill_disable 1")
	}

	space := func(service, kind string) string { return p.sh(service, "readlink /proc/self/ns/"+kind) }
	ours := func(kind string) string {
		link, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			t.Fatal(err)
		}
		return link
	}
	for _, kind := range []string{"ipc", "pid"} {
		equal(t, kind+" of a service", space("guest", kind), space("owner", kind))
		equal(t, kind+" of the host", space("host", kind), ours(kind))
		if space("plain", kind) == ours(kind) || space("plain", kind) == space("owner", kind) {
			t.Errorf("a container without %s has no namespace of its own", kind)
		}
	}
	p.sh("owner", "echo shared > /dev/shm/file")
	equal(t, "shared memory of another service", p.sh("guest", "cat /dev/shm/file"), "shared")
	contains(t, "processes of another service", p.sh("guest", "cat /proc/1/cmdline | tr '\\0' ' '"), "sleep infinity")
	equal(t, "uts: host", space("host", "uts"), ours("uts"))
	if space("plain", "uts") == ours("uts") {
		t.Error("a container without uts has no namespace of its own")
	}
	equal(t, "userns_mode: host", space("host", "user"), ours("user"))

	status := func(service, key string) string {
		return p.sh(service, "grep ^"+key+": /proc/self/status | tr -d '[:blank:]'")
	}
	equal(t, "no-new-privileges", status("strict", "NoNewPrivs"), "NoNewPrivs:1")
	equal(t, "without it", status("plain", "NoNewPrivs"), "NoNewPrivs:0")
	equal(t, "seccomp", status("plain", "Seccomp"), "Seccomp:2")
	equal(t, "seccomp=unconfined", status("free", "Seccomp"), "Seccomp:0")

	p.sh("device", ": > /dev/written")
	for service, line := range map[string]string{"device": "head -c 0 /dev/written", "plain": "mknod /k c 1 11 && : > /k"} {
		if r := p.run("exec", "-T", service, "sh", "-c", line); r.code == 0 || !strings.Contains(r.stderr, "not permitted") {
			t.Errorf("%s opens a device that it was not given: %s", service, r)
		}
	}

	// Annotations are for who reads the container's configuration.
	raw, err := os.ReadFile(p.host.state("containers", p.one("attrs-noted-1").ID, "config.json"))
	var cfg runtime.Config
	if err != nil || json.Unmarshal(raw, &cfg) != nil || cfg.Spec.Annotations["dev.example/a"] != "b c" {
		t.Errorf("annotations are %+v, %v", cfg.Spec, err)
	}
}
