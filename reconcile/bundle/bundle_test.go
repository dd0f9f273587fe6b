package bundle

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/basespec"
)

func TestArgs(t *testing.T) {
	image := v1.Config{Entrypoint: []string{"/entry"}, Cmd: []string{"serve"}}
	for _, tt := range []struct {
		entrypoint, command []string
		want                string
	}{
		{nil, nil, "/entry serve"},
		{nil, []string{"x"}, "/entry x"},
		{nil, []string{}, "/entry serve"}, // as docker compose: command: ${EXTRA:-}
		{[]string{"e"}, nil, "e"},
		{[]string{"e"}, []string{"x"}, "e x"},
		{[]string{"e"}, []string{}, "e"},
		{[]string{}, []string{"x"}, "x"},
		{[]string{}, nil, "serve"},
	} {
		got, err := Args(&plan.Spec{Entrypoint: tt.entrypoint, Command: tt.command}, &image)
		if err != nil || strings.Join(got, " ") != tt.want {
			t.Errorf("entrypoint %q command %q: got %q, %v; expected %q", tt.entrypoint, tt.command, got, err, tt.want)
		}
	}
	if _, err := Args(&plan.Spec{Entrypoint: []string{}}, &v1.Config{Entrypoint: []string{"/entry"}}); err == nil {
		t.Error("nothing to run was accepted")
	}
}

func TestEnvLaterWinsAndNamesOccurOnce(t *testing.T) {
	got := environment(&plan.Spec{Environment: map[string]string{"B": "file", "A": "file"}}, &v1.Config{Env: []string{"PATH=/x", "B=image"}}, "host")
	if want := []string{"PATH=/x", "HOSTNAME=host", "B=file", "A=file"}; !slices.Equal(got, want) {
		t.Errorf("got %q, expected %q", got, want)
	}
}

func TestEnvWithoutWhatTheFileUnsets(t *testing.T) {
	image := v1.Config{Env: []string{"A=image", "B=image", "AB=image"}}
	got := environment(&plan.Spec{Unset: []string{"A", "B"}, Environment: map[string]string{"B": "run -e"}}, &image, "host")
	if want := []string{"PATH=" + basespec.Path, "HOSTNAME=host", "AB=image", "B=run -e"}; !slices.Equal(got, want) {
		t.Errorf("got %q, expected %q", got, want)
	}
}

func TestHostname(t *testing.T) {
	for _, tt := range []struct {
		spec plan.Spec
		want string
	}{
		{plan.Spec{}, "abababababab"},
		{plan.Spec{Hostname: "own"}, "own"},
		{plan.Spec{NetworkMode: "host"}, "vm"},
		{plan.Spec{NetworkMode: "host", Hostname: "own"}, "own"},
		{plan.Spec{NetworkMode: "none"}, "abababababab"},
	} {
		in := input(tt.spec)
		in.Hostname = "vm"
		cfg, _, err := New(in)
		if err != nil || cfg.Spec.Hostname != tt.want || !slices.Contains(cfg.Spec.Process.Env, "HOSTNAME="+tt.want) {
			t.Errorf("%+v: %v, hostname %q, environment %q; expected %q", tt.spec.NetworkMode, err, cfg.Spec.Hostname, cfg.Spec.Process.Env, tt.want)
		}
	}
}

func TestHostsNameTheContainer(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("10.0.0.2")}
	for _, tt := range []struct{ hostname, domainname, want string }{
		{"web", "", "10.0.0.2\tweb\n"},
		{"web", "example.com", "10.0.0.2\tweb.example.com web\n"},
		{"web.example.com", "", "10.0.0.2\tweb.example.com web\n"},
		{"web.a", "example.com", "10.0.0.2\tweb.a.example.com web\n"},
	} {
		if got := hostsContent(tt.hostname, tt.domainname, own, nil); !strings.HasSuffix(got, "\n"+tt.want) {
			t.Errorf("%s, %s: got %q, expected it to end with %q", tt.hostname, tt.domainname, got, tt.want)
		}
	}
}

func input(s plan.Spec) Input {
	s.Image = "app:1"
	return Input{ID: strings.Repeat("ab", 32), Name: "shop-web-1", Project: "shop", Service: "web", Number: 1, Spec: s, Image: v1.Config{Cmd: []string{"serve"}}, ImageID: "sha256:1",
		Available: []string{"CAP_CHOWN", "CAP_NET_ADMIN", "CAP_KILL"}, LogPath: "/logs/web-1.log"}
}

func TestLimits(t *testing.T) {
	cfg, _, err := New(input(plan.Spec{Resources: plan.Resources{Memory: 64 << 20, CPUs: 0.5, Pids: 10}, ShmSize: 1 << 20, CapDrop: []string{"ALL"}, CapAdd: []string{"NET_ADMIN"},
		Ulimits: map[string]plan.Ulimit{"nofile": {Soft: 5, Hard: -1}}, SecurityOpt: []string{"no-new-privileges:true", "seccomp=unconfined"}}))
	if err != nil {
		t.Fatal(err)
	}
	r := cfg.Spec.Linux.Resources
	if *r.Memory.Limit != 64<<20 || *r.Memory.Swap != 128<<20 || *r.CPU.Quota != 50_000 || *r.CPU.Period != 100_000 || *r.Pids.Limit != 10 {
		t.Errorf("resources: %+v %+v", r.Memory, r.CPU)
	}
	p := cfg.Spec.Process
	if !slices.Equal(p.Capabilities.Bounding, []string{"CAP_NET_ADMIN"}) || !p.NoNewPrivileges || cfg.Spec.Linux.Seccomp != nil {
		t.Errorf("security: %+v", p)
	}
	if l := p.Rlimits[len(p.Rlimits)-1]; l.Type != "RLIMIT_NOFILE" || l.Soft != 5 || l.Hard != ^uint64(0) {
		t.Errorf("rlimit: %+v", l)
	}
}

func TestStopGraceOfZeroIsAtOnce(t *testing.T) {
	zero := time.Duration(0)
	cfg, _, err := New(input(plan.Spec{StopGrace: &zero}))
	if err != nil || cfg.StopGrace <= 0 || cfg.StopGrace > time.Millisecond {
		t.Errorf("got %v, %v", cfg.StopGrace, err)
	}
}

func TestRefusedByName(t *testing.T) {
	for want, s := range map[string]plan.Spec{
		`driver "splunk"`:          {Logging: plan.Logging{Driver: "splunk"}},
		`option max-size`:          {Logging: plan.Logging{Driver: "syslog", Options: map[string]string{"max-size": "1m"}}},
		`option syslog-format`:     {Logging: plan.Logging{Driver: "syslog", Options: map[string]string{"syslog-format": "x"}}},
		`cache-max-size "x"`:       {Logging: plan.Logging{Driver: "syslog", Options: map[string]string{"cache-max-size": "x"}}},
		`security_opt "foo=bar"`:   {SecurityOpt: []string{"foo=bar"}},
		`cannot use uts: "nobody"`: {UTS: "nobody"},
	} {
		if _, _, err := New(input(s)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expected %q but got %v", want, err)
		}
	}
}

// A log that is sent is kept too, within docker's bounds or those that are asked for.
func TestSentLogIsKept(t *testing.T) {
	for _, c := range []struct {
		options map[string]string
		want    runtime.LogConfig
	}{
		{nil, runtime.LogConfig{Path: "/logs/web-1.log", MaxSize: 20 << 20, MaxFiles: 5}},
		{map[string]string{"cache-max-size": "1m", "cache-max-file": "2", "cache-disabled": "true"}, runtime.LogConfig{Path: "/logs/web-1.log", MaxSize: 1 << 20, MaxFiles: 2}},
	} {
		cfg, _, err := New(input(plan.Spec{Logging: plan.Logging{Driver: "syslog", Options: c.options}}))
		if err != nil || cfg.Log != c.want {
			t.Errorf("%v: %+v, %v", c.options, cfg.Log, err)
		}
	}
}

func TestConnectTwiceIsConnectOnce(t *testing.T) {
	cfg, _, err := New(input(plan.Spec{}))
	if err != nil {
		t.Fatal(err)
	}
	before := len(cfg.Spec.Linux.Namespaces)
	first := Connect(cfg, Net{Path: "/run/netns/1", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.2")}})
	second := Connect(first, Net{Path: "/run/netns/1", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.3")}})
	if len(second.Mounts) != 3 || len(second.Spec.Linux.Namespaces) != before || len(cfg.Mounts) != 0 {
		t.Errorf("mounts %d, namespaces %d of %d", len(second.Mounts), len(second.Spec.Linux.Namespaces), before)
	}
	hosts := string(second.Mounts[1].File.Content)
	if !strings.Contains(hosts, "10.0.0.3\tabababababab\n") || strings.Contains(hosts, "10.0.0.2") {
		t.Errorf("hosts:\n%s", hosts)
	}
}

func TestAnonymousTargets(t *testing.T) {
	s := plan.Spec{Mounts: []plan.Mount{{Type: "volume", Target: "/b"}, {Type: "bind", Source: "/x", Target: "/c"}}}
	got := AnonymousTargets(&s, &v1.Config{Volumes: map[string]struct{}{"/a": {}, "/c/": {}}})
	if !slices.Equal(got, []string{"/a", "/b"}) {
		t.Errorf("got %v", got)
	}
}

// What security_opt seccomp says: nothing is narrower than Docker's own profile (docs/adr/0030-socketcall.md).
func TestSeccomp(t *testing.T) {
	allowsSocketcall := func(opts ...string) bool {
		t.Helper()
		cfg, _, err := New(input(plan.Spec{SecurityOpt: opts}))
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Spec.Linux.Seccomp == nil {
			t.Fatalf("%q: no profile", opts)
		}
		for _, s := range cfg.Spec.Linux.Seccomp.Syscalls {
			if slices.Contains(s.Names, "socketcall") && len(s.Args) == 0 {
				return true
			}
		}
		return false
	}
	if allowsSocketcall() {
		t.Error("the default profile allows socketcall")
	}
	if !allowsSocketcall("seccomp=builtin") {
		t.Error("seccomp=builtin denies socketcall")
	}
}

func TestEveryContainerHasABoundOnItsTasks(t *testing.T) {
	for said, want := range map[int64]int64{0: defaultPids, 10: 10, -1: -1} {
		cfg, _, err := New(input(plan.Spec{Resources: plan.Resources{Pids: said}}))
		if err != nil {
			t.Fatal(err)
		}
		if got := *cfg.Spec.Linux.Resources.Pids.Limit; got != want {
			t.Errorf("pids_limit %d gives %d, want %d", said, got, want)
		}
	}
}

func TestLabelsOfImageAndFileAreNoFacts(t *testing.T) {
	theirs := map[string]string{"dev.stackrun.anonymous": "{}", FactAnonymous: "{}", label.Slug: "x", label.DependsOn: "x", "keep": "me"}
	in := input(plan.Spec{Labels: theirs})
	in.Image.Labels = theirs
	cfg, _, err := New(in)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Facts[FactAnonymous] != "" || cfg.Labels[label.Slug] != "" || cfg.Labels[label.DependsOn] != "" || cfg.Labels["keep"] != "me" {
		t.Errorf("labels %v, facts %v", cfg.Labels, cfg.Facts)
	}
}

// A profile is given by name, or in full; the first = or : ends the option's name.
func TestSecurityOpt(t *testing.T) {
	for opt, want := range map[string][2]string{
		"label:disable": {"label", "disable"}, "label=disable": {"label", "disable"}, "no-new-privileges": {"no-new-privileges", ""}, `seccomp={"a":"b=c"}`: {"seccomp", `{"a":"b=c"}`}, "apparmor=x:y": {"apparmor", "x:y"},
	} {
		if name, value := SecurityOpt(opt); name != want[0] || value != want[1] {
			t.Errorf("%s: %q %q", opt, name, value)
		}
	}
	if !Inline(` {"x":1}`) || Inline("/etc/profile.json") {
		t.Error("files and profiles are mixed up")
	}
}
