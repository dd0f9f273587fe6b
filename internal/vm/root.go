package main

import (
	"io/fs"
	"os"
	"path/filepath"
)

// populate fills root with busybox, the modules and the scripts. What else is in root goes into the machine too.
func populate(root string, s system, script string) error {
	for _, d := range []string{"bin", "sbin", "proc", "sys", "dev", "etc", "root", "usr/bin", "var/lib", "newroot", "lib/modules", "images"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	busybox, err := os.ReadFile(s.busybox())
	if err != nil {
		return err
	}
	// pivot_root(2) refuses to work from the initramfs itself: move into a tmpfs first.
	const init = "#!/bin/busybox sh\ncd /; /bin/busybox mount -t tmpfs -o size=80% tmpfs /newroot\n" +
		"for d in *; do case $d in init|proc|sys|dev|newroot) ;; *) /bin/busybox cp -a /$d /newroot/;; esac; done\n" +
		"/bin/busybox mkdir -p /newroot/proc /newroot/sys /newroot/dev /newroot/usr/sbin\n" +
		"/bin/busybox chroot /newroot /bin/busybox --install -s\n" +
		"exec /bin/busybox switch_root /newroot /run.sh\n"
	files := []struct {
		name string
		data []byte
		mode fs.FileMode
	}{
		{"bin/busybox", busybox, 0o755},
		{"init", []byte(init), 0o755},
		{"run.sh", []byte(script), 0o755},
		{"etc/passwd", []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"), 0o644},
		{"etc/group", []byte("root:x:0:\nnogroup:x:65534:\n"), 0o644},
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(root, f.name), f.data, f.mode); err != nil {
			return err
		}
	}
	if err := os.Symlink("busybox", filepath.Join(root, "bin/sh")); err != nil {
		return err
	}
	from, to := filepath.Join(s.dir, "lib/modules", s.release), filepath.Join(root, "lib/modules", s.release)
	for _, part := range []string{"kernel/net", "kernel/fs/overlayfs", "kernel/drivers/net", "kernel/drivers/block", "kernel/lib", "kernel/crypto"} {
		if src := filepath.Join(from, part); isDir(src) {
			if err := os.CopyFS(filepath.Join(to, part), os.DirFS(src)); err != nil {
				return err
			}
		}
	}
	lists, _ := filepath.Glob(filepath.Join(from, "modules.*"))
	for _, l := range lists {
		b, err := os.ReadFile(l)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(l)), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}
