package basespec

import (
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestBaseSpec(t *testing.T) {
	a, b := New(), New()
	a.Process.Capabilities.Bounding[0] = "changed"
	a.Mounts[0].Options[0] = "changed"
	if b.Process.Capabilities.Bounding[0] == "changed" || b.Mounts[0].Options[0] == "changed" || b.Process.Capabilities.Effective[0] == "changed" {
		t.Error("two specs share something")
	}
	if len(b.Process.Capabilities.Bounding) != 14 || len(b.Linux.Namespaces) != 6 || len(b.Mounts) != 7 {
		t.Errorf("%+v", b)
	}
}

func TestPrivileged(t *testing.T) {
	s := New()
	s.Linux.Seccomp = &specs.LinuxSeccomp{}
	if _, err := Privileged(s); err != nil {
		t.Fatal(err)
	}
	if s.Linux.Seccomp != nil || len(s.Linux.MaskedPaths)+len(s.Linux.ReadonlyPaths) != 0 || !s.Linux.Resources.Devices[0].Allow {
		t.Errorf("%+v", s.Linux)
	}
	for _, m := range s.Mounts {
		if slices.Contains(m.Options, "ro") {
			t.Errorf("%s is read-only", m.Destination)
		}
	}
	for _, d := range s.Linux.Devices {
		if strings.HasPrefix(d.Path, "/dev/pts") || d.Path == "/dev/ptmx" {
			t.Errorf("%s of the host", d.Path)
		}
	}
}
