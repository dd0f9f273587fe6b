package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stackrun/stack/internal/sandbox"
)

// TestFreezeOfWhatEnds: a cgroup that goes before all of its processes are frozen, for they have ended, is waited for no more. A file stands for the kernel's, which freezes at once.
func TestFreezeOfWhatEnds(t *testing.T) {
	parent := &Parent{name: "stack", host: host{v2: t.TempDir()}}
	dir := filepath.Join(parent.host.v2, "stack", "one")
	file := filepath.Join(dir, "cgroup.freeze")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- parent.Freeze(t.Context(), "one", true) }()
	sandbox.Eventually(t, "it is being frozen", func() bool {
		b, err := os.ReadFile(file)
		return err == nil && len(b) > 0
	})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the error is %v", err)
	}
}
