package e2e

import (
	"strings"
	"testing"

	"github.com/stackrun/stack/internal/sandbox"
)

// TestNoHalfMadeState: whatever an up of a new project fails of, the host is afterwards as it was. What can be known beforehand is
// said with its place, and nothing is made; what a start finds out is undone.
func TestNoHalfMadeState(t *testing.T) {
	const (
		web    = "services:\n  web:\n    image: busybox\n    command: [sleep, infinity]\n"
		subnet = "networks: {n: {ipam: {config: [{subnet: 10.99.0.0/24}]}}}\n"
	)
	tests := []struct {
		name    string
		service string // lines of web, from line 5 on
		file    string // lines after it
		want    []string
		started bool // only the start finds it
	}{
		{name: "subpath of a new volume", service: "    volumes:\n      - {type: volume, source: d, target: /d, volume: {subpath: a/b}}\n", file: "volumes: {d: {}}\n",
			want: []string{"compose.yaml:6:65:", "a/b in volume half_d", "create it in the volume first"}},
		{name: "memory limit", service: "    mem_limit: 100k\n", want: []string{"compose.yaml:5:16:", "102400 bytes", "6 MiB"}},
		{name: "memory limit of deploy", service: "    deploy: {resources: {limits: {memory: 1M}}}\n", want: []string{"compose.yaml:5:43:", "6 MiB"}},
		{name: "cpus", service: "    cpus: 4096\n", want: []string{"compose.yaml:5:11:", "4096; it has"}},
		{name: "cpuset", service: "    cpuset: 0-4096\n", want: []string{"compose.yaml:5:13:", "0-4096, available: 0"}},
		{name: "user id", service: "    user: '99999999999'\n", want: []string{"compose.yaml:5:11:", "99999999999", "2147483647"}},
		{name: "group id", service: "    user: 1:4294967295\n", want: []string{"compose.yaml:5:11:", "4294967295", "2147483647"}},
		{name: "port on another's address", service: "    ports: ['192.0.2.77:8080:80']\n", want: []string{"compose.yaml:5:13:", "cannot publish 192.0.2.77:8080/tcp", "on all of them"}},
		{name: "gateway's address", service: "    networks: {n: {ipv4_address: 10.99.0.1}}\n", file: subnet, want: []string{"compose.yaml:5:34:", "10.99.0.1 is taken by the gateway"}},
		{name: "network's address", service: "    networks: {n: {ipv4_address: 10.99.0.0}}\n", file: subnet, want: []string{"compose.yaml:5:34:", "not a host address"}},
		{name: "more containers than addresses", service: "    scale: 4\n    networks: [n]\n", file: "networks: {n: {ipam: {config: [{subnet: 10.99.0.0/30}]}}}\n",
			want: []string{"compose.yaml:7:16:", "room for 1, the file has 4"}},
		{name: "driver option of a network", service: "    networks: [n]\n", file: "networks: {n: {driver_opts: {com.docker.network.bridge.enable_icc: 'false'}}}\n", want: []string{"compose.yaml:6:", "enable_icc"}},
		{name: "device of a volume", service: "    volumes: ['d:/d']\n", file: "volumes: {d: {driver_opts: {type: none, o: bind, device: /no/such}}}\n",
			want: []string{"compose.yaml:6:15:", "/no/such"}},
		{name: "seccomp profile that is not there", service: "    security_opt: [seccomp=./no.json]\n", want: []string{"compose.yaml:5:20:", "no.json", "no such file"}},
		{name: "seccomp profile that is none", service: "    security_opt: [seccomp=./compose.yaml]\n", want: []string{"compose.yaml:5:20:", "seccomp"}},
		{name: "AppArmor profile", service: "    security_opt: [apparmor=mine]\n", want: []string{"compose.yaml:5:20:", "apparmor=mine", "apparmor=unconfined"}},
		{name: "SELinux label", service: "    security_opt: ['label=type:x']\n", want: []string{"compose.yaml:5:20:", "label=disable"}},
		{name: "device", service: "    devices: ['/dev/nosuch:/dev/x']\n", want: []string{"compose.yaml:5:15:", "/dev/nosuch"}},
		{name: "device that is a file", service: "    devices: ['/etc/passwd:/dev/x']\n", want: []string{"compose.yaml:5:15:", "not a device"}},
		{name: "cgroup parent", service: "    cgroup_parent: /mine\n", want: []string{"compose.yaml:5:20:", "/mine", "remove the key"}},
		{name: "sysctl", service: "    sysctls: {net.ipv4.nosuch: 1}\n", want: []string{"compose.yaml:5:", "net.ipv4.nosuch"}},
		{name: "working directory", service: "    working_dir: here\n", want: []string{"compose.yaml:5:18:", "write the full path"}},
		{name: "unknown capability", service: "    cap_add: [FOO]\n", want: []string{"compose.yaml:5:15:", `"FOO"`}},

		{name: "unknown user", service: "    user: nosuch\n", want: []string{"compose.yaml:5:11:", `no user "nosuch"`}, started: true},
		{name: "unknown group", service: "    user: '1'\n    group_add: ['4', nosuch]\n", want: []string{"compose.yaml:6:22:", `no group "nosuch"`}, started: true},
		{name: "value of a sysctl", service: "    sysctls: {kernel.msgmax: much}\n", want: []string{"compose.yaml:5:", "kernel.msgmax=much"}, started: true},
		{name: "program", service: "    entrypoint: [nosuch]\n    volumes: ['d:/d', /e]\n", file: "volumes: {d: {}}\n", want: []string{"compose.yaml:5:5:", "nosuch", "not found"}, started: true},
		{name: "option of a tmpfs", service: "    tmpfs: ['/x:colour=red']\n", want: []string{"compose.yaml:5:5:", "colour"}, started: true},
		{name: "file on a directory", service: "    volumes: ['/etc/passwd:/bin']\n", want: []string{"compose.yaml:5:15:", "the target is a directory"}, started: true},
		{name: "dependency without a program", service: "    depends_on: [db]\n    networks: [n]\n  db:\n    image: busybox\n    command: [nosuch]\n    networks: [n]\n", file: "networks: {n: {}}\n",
			want: []string{"compose.yaml:9:5:", "nosuch"}, started: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := theHost(t)
			p := newProject(t, h, "half", map[string]string{"compose.yaml": web + tt.service + tt.file})
			before, err := sandbox.Take(h.objects()...)
			if err != nil {
				t.Fatal(err)
			}
			r := p.fails(1, tt.want, "up", "--detach")
			if made := strings.Contains(r.stderr, "Created"); made != tt.started {
				t.Errorf("something was made: %v, expected %v: %s", made, tt.started, r)
			}
			sandbox.Same(t, before, h.objects()...)
			if out := p.ok("ls", "--all", "--quiet"); strings.Contains(out, "half") {
				t.Errorf("ls still knows the project: %s", out)
			}
		})
	}
}

// TestFailureAmongOthers: a start that fails beside others that do not takes nothing away from those, and what failed can be
// looked at, as with docker compose.
func TestFailureAmongOthers(t *testing.T) {
	p := compose(t, "among", `
services:
  good:
    image: busybox
    command: [sleep, infinity]
    volumes: ["data:/data"]
  bad:
    image: busybox
    command: [nosuch]
    depends_on: [good]
volumes: {data: {}}
`)
	p.fails(1, []string{"nosuch", "not found"}, "up", "--detach")
	ps := p.ps()
	equal(t, "state of what started", ps["among-good-1"].State, "running")
	if bad := ps["among-bad-1"]; bad.ExitCode != 127 {
		t.Errorf("what failed: %+v, want exit code 127", bad)
	}
}

// TestRunOfWhatCannotBeMade: neither does a one-off of a new project leave anything that is half.
func TestRunOfWhatCannotBeMade(t *testing.T) {
	h := theHost(t)
	p := compose(t, "halfrun", "services:\n  web:\n    image: busybox\n    mem_limit: 4k\n    volumes: ['d:/d']\nvolumes: {d: {}}\n")
	before, err := sandbox.Take(h.objects()...)
	if err != nil {
		t.Fatal(err)
	}
	p.fails(1, []string{"compose.yaml:4:16:", "6 MiB"}, "run", "--rm", "-T", "web", "true")
	sandbox.Same(t, before, h.objects()...)
}
