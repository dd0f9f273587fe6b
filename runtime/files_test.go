package runtime_test

import (
	"crypto/sha256"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"testing"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/archive"
)

// states brings c, which is created, into each state in turn.
func (h *host) states(c runtime.Config) iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield("created") {
			return
		}
		_, err := h.Start(h.t.Context(), c.ID)
		must(h.t, err)
		h.eventuallyLog(c, "up")
		if !yield("running") {
			return
		}
		_, err = h.Stop(h.t.Context(), c.ID, 0)
		must(h.t, err)
		yield("stopped")
	}
}

// TestFiles: the files of a container of any state are compared and removed where it has them, in its volumes too.
func TestFiles(t *testing.T) {
	h := newHost(t)
	c := h.copied()
	must(t, os.MkdirAll(filepath.Join(c.Root[0].Upper, "scratch"), 0o755))
	_, err := h.Create(t.Context(), c)
	must(t, err)
	sum := sha256.Sum256([]byte("text"))
	facts := []archive.Facts{{Path: "/root/f", Size: 4, Sum: sum[:]}, {Path: "/data/f", Size: 4, Sum: sum[:]}}
	for state := range h.states(c) {
		expect := func(what string, differ bool) {
			t.Helper()
			found, err := h.CompareFiles(t.Context(), c.ID, facts)
			if err != nil || len(found) != 2 || found[0].Differs != differ || found[1].Differs != differ {
				t.Errorf("%s, %s: %+v, %v; they should differ: %v", state, what, found, err, differ)
			}
		}
		expect("before", true)
		for _, f := range facts {
			must(t, h.copyIn(c.ID, f.Path, "text"))
		}
		expect("copied", false)
		if gone, err := h.RemoveFiles(t.Context(), c.ID, facts); err != nil || !gone[0].Differs || !gone[1].Differs {
			t.Errorf("%s: removed %+v, %v", state, gone, err)
		}
		expect("removed", true)
	}
	if _, err := h.CompareFiles(t.Context(), "0123456789ab", facts); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("of no container: %v", err)
	}
}

// TestRemoveKeepsMounts: where something is mounted in the container nothing is removed, and it stays mounted. The kernel itself would take it away: it
// minds mount points of the caller's mount namespace only.
func TestRemoveKeepsMounts(t *testing.T) {
	h := newHost(t)
	c := h.copied()
	must(t, os.MkdirAll(filepath.Join(c.Root[0].Upper, "scratch"), 0o755))
	_, err := h.Create(t.Context(), c)
	must(t, err)
	for state := range h.states(c) {
		for _, f := range []archive.Facts{{Path: "/etc/conf"}, {Path: "/data", Dir: true}, {Path: "/ro", Dir: true}, {Path: "/scratch", Dir: true}} {
			found, err := h.RemoveFiles(t.Context(), c.ID, []archive.Facts{f})
			if f.Dir && (err != nil || found[0].Differs) || !f.Dir && !errors.Is(err, errdefs.ErrConflict) {
				t.Errorf("%s: %s, where something is mounted: %+v, %v; expected that a directory stays and that a file is a conflict", state, f.Path, found, err)
			}
		}
		for path, want := range map[string]string{"/etc/conf": "conf", "/data/there": "there", "/ro/there": "there"} {
			got, err := h.read(c.ID, path)
			if err != nil || got[filepath.Base(path)] != want {
				t.Errorf("%s: %s holds %q, %v; expected %q", state, path, got, err, want)
			}
		}
	}
}
