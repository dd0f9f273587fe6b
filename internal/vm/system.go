package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/stackrun/stack/internal/apt"
)

// system is what a machine boots: the unpacked packages of a kernel and of busybox.
type system struct{ dir, vmlinuz, release string }

// findSystem downloads and unpacks Debian's newest cloud kernel, and busybox, once.
func findSystem(ctx context.Context, cache, goarch string) (system, error) {
	dir := filepath.Join(cache, goarch)
	if s, err := systemIn(dir); err == nil {
		return s, nil
	}
	fmt.Fprintf(os.Stderr, "vm: downloading a kernel and busybox for %s\n", goarch)
	packages, err := apt.New(ctx, filepath.Join(cache, "apt"), goarch)
	if err != nil {
		return system{}, fmt.Errorf("cannot download a kernel: %w", err)
	}
	debs, err := packages.Fetch(ctx, []string{"linux-image-cloud-" + goarch, "busybox-static"}, func(name string) bool {
		return name == "busybox-static" || strings.HasPrefix(name, "linux-image-")
	})
	if err != nil {
		return system{}, fmt.Errorf("cannot download a kernel: %w", err)
	}
	tmp, err := os.MkdirTemp(cache, "new-")
	if err != nil {
		return system{}, err
	}
	defer os.RemoveAll(tmp)
	for _, deb := range debs {
		if out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", deb, tmp).CombinedOutput(); err != nil {
			return system{}, fmt.Errorf("dpkg-deb: %w\n%s", err, out)
		}
	}
	s, err := systemIn(tmp)
	if err != nil {
		return system{}, err
	}
	if out, err := exec.CommandContext(ctx, "depmod", "-b", tmp, s.release).CombinedOutput(); err != nil {
		return system{}, fmt.Errorf("depmod: %w\n%s", err, out)
	}
	if err := os.Rename(tmp, dir); err != nil {
		return system{}, err
	}
	return systemIn(dir)
}

func systemIn(dir string) (system, error) {
	found, _ := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
	if len(found) != 1 {
		return system{}, fmt.Errorf("%s holds %d kernels, want 1", dir, len(found))
	}
	return system{dir, found[0], strings.TrimPrefix(filepath.Base(found[0]), "vmlinuz-")}, nil
}

func (s system) busybox() string { return filepath.Join(s.dir, "bin/busybox") }
