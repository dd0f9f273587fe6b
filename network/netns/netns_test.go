package netns

import (
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/stackrun/stack/internal/sandbox"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m)) }

func TestMakeDoUnbind(t *testing.T) {
	sandbox.Require(t)
	sandbox.LeavesNothing(t)
	path := t.TempDir() + "/ns"
	here, err := Identity()
	if err != nil {
		t.Fatal(err)
	}
	var inside, again uint64
	if err := Make(path, func(int) (err error) { inside, err = Identity(); return err }); err != nil {
		t.Fatal(err)
	}
	if err := Do(path, func() (err error) { again, err = Identity(); return err }); err != nil {
		t.Fatal(err)
	}
	if inside == here || inside != again || !Bound(path) {
		t.Errorf("here %d, made %d, entered %d", here, inside, again)
	}
	for range 2 {
		if err := Unbind(path); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) || Bound(path) {
		t.Errorf("%s is still there: %v", path, err)
	}
}

func TestMakeKeepsNothingOfAFailure(t *testing.T) {
	sandbox.Require(t)
	path := t.TempDir() + "/ns"
	wrong := errors.New("wrong")
	if err := Make(path, func(int) error { return wrong }); !errors.Is(err, wrong) {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a failed namespace was bound")
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil { // as a crash between open and mount leaves it
		t.Fatal(err)
	}
	if Bound(path) {
		t.Error("an empty file is taken for a namespace")
	}
	if err := Unbind(path); err != nil {
		t.Error(err)
	}
}

// No thread, the process's first one least of all, may come back from another namespace.
func TestThreadsStayHome(t *testing.T) {
	sandbox.Require(t)
	path := t.TempDir() + "/ns"
	if err := Make(path, func(int) error { return nil }); err != nil {
		t.Fatal(err)
	}
	defer Unbind(path)
	home, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := Do(path, func() error { return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	sandbox.Eventually(t, "every thread is in the process's namespace", func() bool {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			if ns, err := os.Readlink("/proc/self/task/" + task.Name() + "/ns/net"); err == nil && ns != home {
				return false
			}
		}
		return true
	})
}
