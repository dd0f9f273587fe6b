package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// kernelTree is an unpacked kernel package.
type kernelTree struct{ dir, vmlinuz, release string }

// findKernel downloads and unpacks the newest cloud kernel of this Debian once.
func findKernel(cache string) (kernelTree, error) {
	dir := filepath.Join(cache, "kernel")
	if k, err := kernelIn(dir); err == nil {
		return k, nil
	}
	out, err := exec.Command("apt-cache", "depends", "linux-image-cloud-amd64").Output()
	if err != nil {
		return kernelTree{}, fmt.Errorf("cannot find the kernel package: apt-cache: %w", err)
	}
	var name string
	for line := range strings.Lines(string(out)) {
		if _, n, ok := strings.Cut(strings.TrimSpace(line), "Depends: "); ok {
			name = n
			break
		}
	}
	tmp, err := os.MkdirTemp(cache, "kernel-")
	if err != nil {
		return kernelTree{}, err
	}
	defer os.RemoveAll(tmp)
	fmt.Fprintf(os.Stderr, "vm: downloading %s\n", name)
	get := exec.Command("apt-get", "download", "-q", name)
	get.Dir = tmp
	if out, err := get.CombinedOutput(); err != nil {
		return kernelTree{}, fmt.Errorf("cannot download %s: %w\n%s", name, err, out)
	}
	debs, _ := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if len(debs) != 1 {
		return kernelTree{}, fmt.Errorf("apt-get download %s left %d packages", name, len(debs))
	}
	x := filepath.Join(tmp, "x")
	if out, err := exec.Command("dpkg-deb", "-x", debs[0], x).CombinedOutput(); err != nil {
		return kernelTree{}, fmt.Errorf("dpkg-deb: %w\n%s", err, out)
	}
	k, err := kernelIn(x)
	if err != nil {
		return kernelTree{}, err
	}
	if out, err := exec.Command("depmod", "-b", x, k.release).CombinedOutput(); err != nil {
		return kernelTree{}, fmt.Errorf("depmod: %w\n%s", err, out)
	}
	if err := os.Rename(x, dir); err != nil {
		return kernelTree{}, err
	}
	return kernelIn(dir)
}

func kernelIn(dir string) (kernelTree, error) {
	found, _ := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
	if len(found) != 1 {
		return kernelTree{}, fmt.Errorf("%s holds %d kernels, want 1", dir, len(found))
	}
	return kernelTree{dir, found[0], strings.TrimPrefix(filepath.Base(found[0]), "vmlinuz-")}, nil
}
