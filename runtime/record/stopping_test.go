package record

import (
	"os"
	"testing"

	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/runtime/identity"
)

// TestStopping: that a run was told to stop is believed of that run alone, also where a program that does not know of the note has started the next one.
func TestStopping(t *testing.T) {
	const id = "a"
	dir := t.TempDir()
	rs, err := Open(roots.Roots{State: dir + "/state", Run: dir + "/run"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(rs.RunDir(id), 0o700); err != nil {
		t.Fatal(err)
	}
	first, next := identity.Process{Pid: 7, Start: 100}, identity.Process{Pid: 7, Start: 200}
	is := func(when string, init identity.Process, want bool) {
		t.Helper()
		if got := rs.Stopping(id, init); got != want {
			t.Errorf("%s: %+v is told to stop: %v", when, init, got)
		}
	}
	is("before", first, false)
	for range 2 { // a second stop of the same run
		if err := rs.MarkStopping(id, first); err != nil {
			t.Fatal(err)
		}
		is("told", first, true)
		is("told", next, false)
	}
	if err := rs.MarkStopping(id, next); err != nil {
		t.Fatal(err)
	}
	is("the next is told too", next, true)
	is("the next is told too", first, false)
}
