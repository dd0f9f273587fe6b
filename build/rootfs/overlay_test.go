package rootfs

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime/mount"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m)) }

// TestMount: by both ways, of which kernels before 6.7 know the second only, an overlay shows its layers, and takes what is written.
func TestMount(t *testing.T) {
	sandbox.Require(t)
	for name, way := range map[string]func(mount.Mount) (int, error){"layer by layer": byLayer, "in one string": byString} {
		t.Run(name, func(t *testing.T) {
			sandbox.LeavesNothing(t)
			dir := t.TempDir()
			m := mount.Mount{Upper: filepath.Join(dir, "upper"), Work: filepath.Join(dir, "work")}
			for _, lower := range []string{"a,b", "c:d"} { // characters with a meaning for overlayfs
				m.Lower = append(m.Lower, filepath.Join(dir, lower))
			}
			for _, d := range append([]string{m.Upper, m.Work}, m.Lower...) {
				if err := os.Mkdir(d, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for _, lower := range m.Lower {
				if err := os.WriteFile(filepath.Join(lower, "of-"+filepath.Base(lower)), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			fd, err := way(Writable(m))
			if err == unix.EINVAL && name == "layer by layer" {
				t.Skip("SKIP: this kernel's overlayfs takes no layer by itself")
			}
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			for _, file := range []string{"of-a,b", "of-c:d"} {
				if err := unix.Faccessat(fd, file, unix.R_OK, 0); err != nil {
					t.Errorf("%s: %v", file, err)
				}
			}
			new, err := unix.Openat(fd, "new", unix.O_CREAT|unix.O_WRONLY, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			unix.Close(new)
			if _, err := os.Stat(filepath.Join(m.Upper, "new")); err != nil {
				t.Error(err)
			}
		})
	}
}
