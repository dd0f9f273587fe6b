package bundle

import (
	"fmt"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/mount"
)

func TestDeviceRules(t *testing.T) {
	for text, want := range map[string]string{
		"c 188:* rmw": "c 188:* rmw", "b 8:16 r": "b 8:16 r", "a *:* rwm": "a *:* rwm",
		"": "", "c 1:3": "", "c 1 rwm": "", "x 1:3 rwm": "", "c 1:3 rwx": "", "c -1:3 r": "", "c 1:3 rrrr": "", "c  1:3 r": "", "c 1:3 ": "",
	} {
		got := ""
		if r, ok := deviceRule(text); ok {
			number := func(n *int64) string {
				if n == nil {
					return "*"
				}
				return fmt.Sprint(*n)
			}
			got = r.Type + " " + number(r.Major) + ":" + number(r.Minor) + " " + r.Access
		}
		if got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

func TestVolumesOfAnother(t *testing.T) {
	lender := &runtime.Config{Mounts: []mount.Mount{
		{Type: "bind", Source: "/vol", Target: "/data", Options: []string{"rbind", "rw"}, CopyUp: true},
		{Type: "tmpfs", Target: "/tmp"},
		{Type: "file", Target: "/run/secrets/s", File: &mount.File{}},
		{Type: "file", Target: "/etc/hosts", File: &mount.File{Writable: true}},
	}}
	text := func(mounts []mount.Mount) string {
		var s []string
		for _, m := range mounts {
			s = append(s, fmt.Sprint(m.Target, " ", m.Source, m.Options, m.CopyUp))
		}
		return strings.Join(s, ", ")
	}
	if got, want := text(Lends(lender, false)), "/data /vol[rbind rw] false, /run/secrets/s [] false"; got != want {
		t.Errorf("lends %s, want %s", got, want)
	}
	ro := Lends(lender, true)
	if got, want := text(ro), "/data /vol[rbind ro] false, /run/secrets/s [] false"; got != want {
		t.Errorf("lends %s, want %s", got, want)
	}
	if lender.Mounts[0].Options[1] != "rw" {
		t.Error("the lender's own mount has changed")
	}
	cfg := runtime.Config{Spec: &specs.Spec{Linux: &specs.Linux{}}, Facts: map[string]string{FactName: "n"},
		Mounts: []mount.Mount{{Type: "bind", Source: "/image", Target: "/data"}, {Type: "bind", Source: "/own", Target: "/own"}}}
	once := Connect(cfg, Net{Inherited: ro})
	again := Connect(once, Net{Inherited: ro[:1]})
	count := func(c runtime.Config, want string) {
		t.Helper()
		var got []string
		for _, m := range c.Mounts {
			if m.File == nil || !m.File.Writable {
				got = append(got, m.Target+"="+m.Source)
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("mounts %s, want %s", s, want)
		}
	}
	count(once, "/data=/vol /own=/own /run/secrets/s=")
	count(again, "/data=/vol /own=/own")
	count(cfg, "/data=/image /own=/own")
}
