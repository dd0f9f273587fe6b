package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sandbox"
)

// TestChanges: what a container has added, modified and deleted, and nothing that it has because it is one.
func TestChanges(t *testing.T) {
	sandbox.Require(t)
	h := newHub(t)
	h.push(t, "base:1", twoLayers(t))
	s := newStore(t)
	base, err := s.Pull(t.Context(), h.host+"/base:1", v1.Platform{}, nil)
	check(t, err)
	changed := func(key string) string {
		t.Helper()
		all, err := s.Changes(t.Context(), key)
		check(t, err)
		var lines []string
		for _, c := range all {
			lines = append(lines, fmt.Sprintf("%c %s", "CAD"[c.Kind], c.Path))
		}
		return strings.Join(lines, ", ")
	}
	mounts, err := s.Prepare(t.Context(), "box", base.ID)
	check(t, err)
	upper := mounts[0].Upper
	if got := changed("box"); got != "" {
		t.Errorf("a container that has done nothing: %s", got)
	}
	for _, dir := range []string{"etc", "dev", "proc", "sys"} {
		check(t, os.MkdirAll(filepath.Join(upper, dir), 0o755))
	}
	check(t, os.WriteFile(filepath.Join(upper, "etc/resolv.conf"), nil, 0o644))
	check(t, os.Chmod(filepath.Join(upper, "etc"), 0o755))
	if got := changed("box"); got != "" {
		t.Errorf("a container that was only started: %s", got)
	}
	check(t, os.Chmod(filepath.Join(upper, "etc"), 0o700))
	if got := changed("box"); got != "C /etc" {
		t.Errorf("a container that has changed the mode of a directory: %s", got)
	}
	check(t, os.Chmod(filepath.Join(upper, "etc"), 0o755))
	check(t, os.WriteFile(filepath.Join(upper, "etc/one"), nil, 0o644))
	check(t, os.MkdirAll(filepath.Join(upper, "new/sub"), 0o755))
	check(t, os.Symlink("/etc", filepath.Join(upper, "new/link")))
	check(t, unix.Mknod(filepath.Join(upper, "two"), unix.S_IFCHR, 0))
	check(t, unix.Mknod(filepath.Join(upper, "nothing"), unix.S_IFCHR, 0)) // made and deleted
	if got, want := changed("box"), "C /etc, C /etc/one, A /new, A /new/link, A /new/sub, D /two"; got != want {
		t.Errorf("%s, expected %s", got, want)
	}
	// A directory that was deleted and made anew.
	check(t, os.Remove(filepath.Join(upper, "etc/one")))
	check(t, unix.Setxattr(filepath.Join(upper, "etc"), "trusted.overlay.opaque", []byte("y"), 0))
	check(t, os.WriteFile(filepath.Join(upper, "etc/more"), nil, 0o644))
	if got, want := changed("box"), "C /etc, A /etc/more, D /etc/one, A /new, A /new/link, A /new/sub, D /two"; got != want {
		t.Errorf("%s, expected %s", got, want)
	}
	if _, err := s.Changes(t.Context(), "nobody"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("of nobody: %v", err)
	}
}
