package record

import (
	"os"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/runtime/container"
)

// TestEmpty: what has no record is no container, however much of it there is, and one that has a record is found behind all that.
func TestEmpty(t *testing.T) {
	dir := t.TempDir()
	rs, err := Open(roots.Roots{State: dir + "/state", Run: dir + "/run"})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want bool, when string) {
		t.Helper()
		if got, err := rs.Empty(); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", when, got, err, want)
		}
	}
	expect(true, "nothing")
	id := func(c string) string { return strings.Repeat(c, 64) }
	for _, c := range "0123456789abcdef" { // of a removal that was cut off
		if err := os.Mkdir(rs.StateDir(strings.Repeat(string(c), 63)+"1"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(rs.StateDir(id("e")), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(rs.StateDir(id("d")+damagedSuffix, ConfigName), 0o700); err != nil {
		t.Fatal(err)
	}
	expect(true, "debris")
	for _, c := range []string{"a", "b"} {
		if err := rs.Add(&container.Config{ID: id(c), Spec: &specs.Spec{}}); err != nil {
			t.Fatal(err)
		}
	}
	expect(false, "two containers")
	for i, c := range []string{"a", "b"} {
		if err := rs.Remove(id(c)); err != nil {
			t.Fatal(err)
		}
		expect(i == 1, "after the removal of "+c)
	}
}
