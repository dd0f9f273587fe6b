package runtime_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/runtime/process"
)

// TestEndDoesNotWaitForTheDisk: the end of a container is told while its root is still being unmounted, which brings a file system to the disk. Whoever
// mounts the same directories again waits for it, and for no other's.
func TestEndDoesNotWaitForTheDisk(t *testing.T) {
	h := newHost(t)
	ctx := t.Context()
	release := h.HoldUnmounts()
	defer release()
	c := h.sh("echo one >> /file; cat /file")
	_, err := h.Create(ctx, c)
	must(t, err)
	for _, want := range []string{"one\n", "one\none\n"} { // the second is a start while it waits for its turn
		var out buffer
		x, err := h.Run(ctx, c.ID, process.IO{Stdout: &out}, nil)
		must(t, err)
		if x.Code != 0 || out.String() != want {
			t.Fatalf("exit %+v output %q, expected %q", x, out.String(), want)
		}
		if n := h.Unmounting(); n != 2 { // what is held, and this one
			t.Fatalf("%d roots wait to be unmounted, expected 2", n)
		}
		if !upperInUse(t, c) {
			t.Fatal("the overlay is not mounted any more: its unmounting was waited for")
		}
	}
	must(t, h.Delete(ctx, c.ID))
	release()
	// The kernel may still hold it for a moment after the last descriptor is closed.
	sandbox.Eventually(t, "the root is unmounted", func() bool { return h.Unmounting() == 0 && !upperInUse(t, c) })
}

// TestStartWaitsForItsOwnUnmount: one that is under way is waited for, as long as the caller wants to.
func TestStartWaitsForItsOwnUnmount(t *testing.T) {
	h := newHost(t)
	c := h.sh("true")
	_, err := h.Create(t.Context(), c)
	must(t, err)
	release := h.HoldUnmount(c.ID)
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Start(ctx, c.ID); !errors.Is(err, context.Canceled) {
		t.Fatalf("start while its root is being unmounted: %v", err)
	}
	release()
	_, err = h.Start(t.Context(), c.ID)
	must(t, err)
	_, err = h.Wait(t.Context(), c.ID)
	must(t, err)
}

// TestWhatIsUnmountedAtOnce: a bind, and an overlay that is never brought to the disk, whose upper directory becomes a layer.
func TestWhatIsUnmountedAtOnce(t *testing.T) {
	h := newHost(t)
	release := h.HoldUnmounts()
	defer release()
	for _, k := range []struct {
		name   string
		change func(*mount.Mount)
		aside  int
	}{
		{"volatile", func(m *mount.Mount) { m.Options = append(m.Options, "volatile") }, 0},
		{"no upper directory", func(m *mount.Mount) {
			m.Upper, m.Work, m.Lower = "", "", append(m.Lower, t.TempDir())
		}, 0},
		{"bind", func(m *mount.Mount) { *m = mount.Mount{Type: "bind", Target: "/", Source: h.image} }, 0},
		{"an overlay as most", func(*mount.Mount) {}, 1},
	} {
		c := h.config("/bin/true")
		k.change(&c.Root[0])
		before := h.Unmounting()
		h.up(c)
		if x := h.wait(c.ID); x.Code != 0 {
			t.Errorf("%s: exit %+v", k.name, x)
		}
		if n := h.Unmounting() - before; n != k.aside {
			t.Errorf("%s: %d roots more wait to be unmounted, expected %d", k.name, n, k.aside)
		}
	}
}

// upperInUse says whether an overlay has c's upper directory: with an index a second one is refused (Documentation/filesystems/overlayfs.rst, "Sharing and
// copying layers").
func upperInUse(t *testing.T, c runtime.Config) bool {
	t.Helper()
	m := c.Root[0]
	at := t.TempDir()
	err := unix.Mount("overlay", at, "overlay", 0, "index=on,lowerdir="+m.Lower[0]+",upperdir="+m.Upper+",workdir="+m.Work)
	if err == unix.EBUSY {
		return true
	}
	must(t, err)
	must(t, unix.Unmount(at, 0))
	must(t, unix.Rmdir(filepath.Join(m.Work, "index")))
	return false
}
