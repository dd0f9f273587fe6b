package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
)

// TestUpdatesOnAFullDisk: what users want is noted while the disk is full, over and over, and by the next daemon too; whatever was written before.
func TestUpdatesOnAFullDisk(t *testing.T) {
	sandbox.Require(t)
	for _, size := range []int{500, 5000, 60_000, 600_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			dir := t.TempDir()
			if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
					t.Error(err)
				}
			})
			path := filepath.Join(dir, "stack.db")
			s := mustOpen(t, path)
			put := func(key string, size int) {
				t.Helper()
				if err := s.Put("projects", key, make([]byte, size)); err != nil {
					t.Errorf("%d bytes: %v", size, err)
				}
			}
			put("shop", size)
			put("shop", size)
			f, err := os.Create(filepath.Join(dir, "filler"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for err == nil {
				_, err = f.Write(make([]byte, 4096))
			}
			if !errors.Is(err, unix.ENOSPC) {
				t.Fatal(err)
			}
			for i := range 100 {
				put("shop", size+10*i)
				if i == 50 {
					s.Close()
					s = mustOpen(t, path)
				}
			}
			put("other", 500)
		})
	}
}
