package watch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m)) }

func TestPolls(t *testing.T) {
	sandbox.Require(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	p, err := OpenPolls()
	must(err)
	drain := func() (keys []string) {
		p.Drain(func(k string) { keys = append(keys, k) })
		return keys
	}
	must(p.Add("mounts", "/proc/self/mountinfo"))
	drain()
	if got := drain(); len(got) != 0 {
		t.Errorf("nothing happened, and %q", got)
	}
	dir := filepath.Join(t.TempDir(), "m")
	must(os.Mkdir(dir, 0o700))
	woken := make(chan error, 1)
	go func() { woken <- p.Wait() }()
	must(unix.Mount("tmpfs", dir, "tmpfs", 0, ""))
	if got := drain(); !slices.Equal(got, []string{"mounts"}) { // before the call that mounted returned
		t.Errorf("a mount, and %q", got)
	}
	// The goroutine may have been late for it; it is not for the next, which is left to it.
	must(unix.Unmount(dir, 0))
	select {
	case err := <-woken:
		must(err)
	case <-time.After(sandbox.Patience):
		t.Error("nobody was woken")
	}
	drain()
	if b, err := p.Read("mounts"); err != nil || !strings.Contains(string(b), " / ") {
		t.Errorf("read %q, %v", b, err)
	}
	p.Remove("mounts")
	p.Remove("mounts")
	if _, err := p.Read("mounts"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read what is not watched: %v", err)
	}
	must(unix.Mount("tmpfs", dir, "tmpfs", 0, ""))
	must(unix.Unmount(dir, 0))
	if got := drain(); len(got) != 0 {
		t.Errorf("nothing is watched, and %q", got)
	}
	go func() {
		for {
			if err := p.Wait(); err != nil {
				woken <- err
				return
			}
			drain()
		}
	}()
	must(p.Close())
	if err := <-woken; err == nil {
		t.Error("Wait returned nil after Close")
	}
}
