package oneoff

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/preflight"
)

// web is a service as a file has it.
func web() *plan.Service {
	return &plan.Service{Name: "web", Spec: plan.Spec{
		Entrypoint: []string{"/entry"}, Command: []string{"serve"}, User: "www", WorkingDir: "/srv", TTY: true, CapAdd: []string{"A"},
		Environment: map[string]string{"MODE": "live", "LEVEL": "1"}, Labels: map[string]string{"team": "x"}, Restart: plan.RestartPolicy{Name: "always"},
		Ports:  []plan.Port{{Published: 80, Target: 8080}},
		Mounts: []plan.Mount{{Type: "volume", Source: "data", Target: "/data"}, {Type: "bind", Source: "/etc/x", Target: "/etc/x"}},
	}}
}

// TestOneOff: a one-off is the service's container with what its caller asks for, and without ports and policy; the service stays as it is.
func TestOneOff(t *testing.T) {
	for _, c := range []struct {
		name string
		o    ask.RunOptions
		want func(*plan.Spec) // of what the service has
	}{
		{"as the service", ask.RunOptions{}, func(*plan.Spec) {}},
		{"another command", ask.RunOptions{Args: []string{"ls", "-l"}}, func(s *plan.Spec) { s.Command = []string{"ls", "-l"} }},
		{"another entrypoint, which the service's command is not for", ask.RunOptions{Entrypoint: &[]string{"sh"}}, func(s *plan.Spec) { s.Entrypoint, s.Command = []string{"sh"}, []string{} }},
		{"no entrypoint", ask.RunOptions{Entrypoint: new([]string), Args: []string{"ls"}}, func(s *plan.Spec) { s.Entrypoint, s.Command = []string{}, []string{"ls"} }},
		{"variables and labels", ask.RunOptions{Env: []string{"MODE=test", "URL=a=b"}, Labels: map[string]string{"by": "me"}}, func(s *plan.Spec) {
			s.Environment = map[string]string{"MODE": "test", "LEVEL": "1", "URL": "a=b"}
			s.Labels = map[string]string{"team": "x", "by": "me"}
		}},
		{"another user and directory", ask.RunOptions{User: "0", Cwd: "/"}, func(s *plan.Spec) { s.User, s.WorkingDir = "0", "/" }},
		{"a terminal", ask.RunOptions{TTY: true, Interactive: true}, func(s *plan.Spec) { s.TTY, s.StdinOpen = true, true }},
		{"capabilities", ask.RunOptions{CapAdd: []string{"B"}, CapDrop: []string{"C"}}, func(s *plan.Spec) { s.CapAdd, s.CapDrop = []string{"A", "B"}, []string{"C"} }},
		{"the service's ports", ask.RunOptions{ServicePorts: true}, func(s *plan.Spec) { s.Ports = web().Spec.Ports }},
		{"ports of its own", ask.RunOptions{Publish: []string{"127.0.0.1:81:8081"}}, func(s *plan.Spec) { s.Ports = []plan.Port{{HostIP: "127.0.0.1", Published: 81, Target: 8081}} }},
		{"a volume in the place of the service's", ask.RunOptions{Volumes: []string{"/host:/data:ro"}}, func(s *plan.Spec) {
			s.Mounts = []plan.Mount{s.Mounts[1], {Type: "bind", Source: "/host", Target: "/data", ReadOnly: true, CreateHostPath: true}}
		}},
	} {
		s := web()
		want := web().Spec
		want.TTY, want.Restart, want.Ports = false, plan.RestartPolicy{}, nil
		c.want(&want)
		d, err := oneOff(s, c.o)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if plan.Encode(d.Spec) != plan.Encode(want) {
			t.Errorf("%s:\n%s\nexpected\n%s", c.name, plan.Encode(d.Spec), plan.Encode(want))
		}
		if !d.OneOff || d.Number != 1 || d.Slug == "" {
			t.Errorf("%s: %+v", c.name, d)
		}
		if !reflect.DeepEqual(s, web()) {
			t.Errorf("%s: the service has become %+v", c.name, s)
		}
	}
	for _, o := range []ask.RunOptions{{Publish: []string{"x"}}, {Volumes: []string{"data"}}} {
		if _, err := oneOff(web(), o); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestClaims: what a one-off would publish is looked for before it is made: that of the file with its place in it, that of the command line without.
func TestClaims(t *testing.T) {
	file, line := preflight.Claim{Port: plan.Port{Published: 80, Target: 8080}, At: "services.web.ports[0]"}, preflight.Claim{Port: plan.Port{Published: 81, Target: 8081}}
	for _, c := range []struct {
		o    ask.RunOptions
		want []preflight.Claim
	}{
		{ask.RunOptions{}, nil},
		{ask.RunOptions{ServicePorts: true}, []preflight.Claim{file}},
		{ask.RunOptions{Publish: []string{"81:8081"}}, []preflight.Claim{line}},
		{ask.RunOptions{ServicePorts: true, Publish: []string{"81:8081"}}, []preflight.Claim{file, line}},
	} {
		if got, err := claimsOf(web(), c.o); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: %+v, %v; expected %+v", c.o, got, err, c.want)
		}
	}
	if _, err := claimsOf(web(), ask.RunOptions{Publish: []string{"x"}}); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Error(err)
	}
}

// TestParseVolume reads what --volume says.
func TestParseVolume(t *testing.T) {
	for text, want := range map[string]plan.Mount{
		"/data":          {Type: "volume", Target: "/data"},
		"/data/../x/":    {Type: "volume", Target: "/x"},
		"cache:/data":    {Type: "volume", Source: "cache", Target: "/data"},
		"cache:/data:ro": {Type: "volume", Source: "cache", Target: "/data", ReadOnly: true},
		"/a:/data:rw":    {Type: "bind", Source: "/a", Target: "/data", CreateHostPath: true},
		"/data:ro":       {Type: "volume", Target: "/data", ReadOnly: true},

		"/a:/data:ro,z,rslave": {Type: "bind", Source: "/a", Target: "/data", ReadOnly: true, CreateHostPath: true, Propagation: "rslave"},
		"/a:/data:delegated":   {Type: "bind", Source: "/a", Target: "/data", CreateHostPath: true},
		"cache:/data:nocopy":   {Type: "volume", Source: "cache", Target: "/data", NoCopy: true},
	} {
		if got, err := parseVolume(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v; expected %+v", text, got, err, want)
		}
	}
	for text, says := range map[string]string{
		"data": `the target "data" is not absolute`, "a:b": `the target "b" is not absolute`, "": `the target "" is not absolute`,
		"./a:/b": `the source "./a" is neither`, ":/b": "a part is empty", "a:/b:": "a part is empty", "a::ro": "a part is empty", "a:/b:z,y": `the option "y" is not known`, "a:/b/..": "the target is the container's root", "a:/b:ro:z": "expected [SOURCE:]TARGET[:OPTIONS]",
	} {
		if _, err := parseVolume(text); !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, expected %q", text, err, says)
		}
	}
}

// TestBuiltUnder: what a service's image is built on is built with it, and what that is built on; no container of theirs is made.
func TestBuiltUnder(t *testing.T) {
	from := func(names ...string) *plan.Recipe { return &plan.Recipe{From: names} }
	want := &plan.Desired{Services: map[string]*plan.Service{
		"top":   {Name: "top", Build: from("mid")},
		"mid":   {Name: "mid", Replicas: 3, Build: from("base", "top"), Spec: plan.Spec{Image: "mid:1", Command: []string{"x"}}},
		"base":  {Name: "base", Replicas: 1, Spec: plan.Spec{Image: "base:1"}},
		"other": {Name: "other", Build: from("base")},
	}}
	services := map[string]*plan.Service{"top": want.Services["top"]}
	builtUnder(want, want.Services["top"], services)
	if len(services) != 3 || services["mid"] == nil || services["base"] == nil {
		t.Fatalf("%v", services)
	}
	if mid := services["mid"]; mid.Replicas != 0 || mid.Spec.Image != "mid:1" || len(mid.Spec.Command) != 0 || want.Services["mid"].Replicas != 3 {
		t.Errorf("%+v", mid)
	}
}
