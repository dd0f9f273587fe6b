package watch

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestHub(t *testing.T) {
	var h Hub
	h.Give() // to nobody
	ctx, cancel := context.WithCancel(t.Context())
	one, two := h.Subscribe(ctx), h.Subscribe(t.Context())
	h.Give()
	h.Give()
	<-one
	select {
	case <-one:
		t.Error("two hints that nobody had taken are one")
	default:
	}
	cancel()
	if _, ok := <-one; ok {
		t.Error("a hint after the end of its context")
	}
	h.Give()
	if _, ok := <-two; !ok {
		t.Error("the end of one subscriber ended another")
	}
	h.Close()
	if _, ok := <-two; ok {
		t.Error("a hint after Close")
	}
	if _, ok := <-h.Subscribe(t.Context()); ok {
		t.Error("a hint from a closed Hub")
	}
	h.Give()
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	w, err := OpenFiles()
	if err != nil {
		t.Fatal(err)
	}
	events := func() (all []FileEvent) {
		w.Drain(func(e FileEvent) { all = append(all, e) })
		return all
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Add(dir+"/none", unix.IN_DELETE_SELF); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	must(w.Add(dir, unix.IN_CREATE|unix.IN_DELETE|unix.IN_MOVED_FROM))
	if got := events(); len(got) != 0 {
		t.Errorf("nothing happened, and %v", got)
	}
	must(os.WriteFile(dir+"/a", nil, 0o600))
	must(w.Wait())
	if got := events(); len(got) != 1 || got[0].Path != dir || got[0].Name != "a" || got[0].Mask&unix.IN_CREATE == 0 {
		t.Errorf("a was made, and %+v", got)
	}
	must(w.Add(dir+"/a", unix.IN_DELETE_SELF))
	must(os.Remove(dir + "/a"))
	if got := events(); len(got) != 3 || got[0].Path != dir+"/a" || w.Watches(dir+"/a") || !w.Watches(dir) {
		t.Errorf("a was removed, and %+v", got)
	}
	// Another file under the same name is another watch; the old one's events are nobody's.
	must(os.Mkdir(dir+"/b", 0o700))
	must(w.Add(dir+"/b", unix.IN_CREATE))
	must(os.Rename(dir+"/b", dir+"/c"))
	must(os.Mkdir(dir+"/b", 0o700))
	must(w.Add(dir+"/b", unix.IN_CREATE))
	events()
	must(os.WriteFile(dir+"/c/x", nil, 0o600))
	must(os.WriteFile(dir+"/b/y", nil, 0o600))
	if got := events(); len(got) != 1 || got[0].Path != dir+"/b" || got[0].Name != "y" {
		t.Errorf("y was made in b, and %+v", got)
	}
	w.Remove(dir + "/b")
	w.Remove(dir + "/b")
	done := make(chan error, 1)
	go func() {
		for {
			err := w.Wait()
			if err != nil {
				done <- err
				return
			}
			events()
		}
	}()
	must(w.Close())
	if err := <-done; err == nil {
		t.Error("Wait returned nil after Close")
	}
	if err := w.Add(dir, unix.IN_CREATE); err == nil {
		t.Error("Add after Close is success")
	}
}

// TestBlind: who has no inotify instance left has a Files that watches nothing.
func TestBlind(t *testing.T) {
	none := errors.New("none left")
	w := &Files{blind: none}
	if err := w.Add("/", unix.IN_CREATE); err != none {
		t.Errorf("Add: %v", err)
	}
	if err := w.Wait(); err != none || w.Blind() != none || w.Watches("/") {
		t.Errorf("Wait: %v", err)
	}
	w.Remove("/")
	w.Drain(func(e FileEvent) { t.Errorf("%+v", e) })
	if err := w.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}
