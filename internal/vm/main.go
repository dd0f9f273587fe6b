// Command vm runs test binaries of this module on another kernel: Debian's cloud kernel under qemu
// (software emulation, no network card), where cgroup v2 is the only hierarchy.
//
//	go run ./internal/vm [-run REGEXP] [-cgroup v2|hybrid] [PACKAGE…]
//
// It needs qemu-system-x86_64, busybox-static, kmod and apt-get (for the kernel package). Everything that it makes is
// below the user's cache directory, or STACK_TEST_CACHE. The exit code is 1 when a test failed.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Packages whose behaviour depends on the kernel.
var defaultPackages = []string{"./internal/sandbox", "./runtime/...", "./network/...", "./image/...", "./volume/..."}

func main() {
	run := flag.String("run", "", "run only tests that match")
	cgroup := flag.String("cgroup", "v2", "cgroup layout of the machine: v2 or hybrid")
	limit := flag.Duration("timeout", 20*time.Minute, "bound on the whole machine's life")
	flag.Parse()
	pkgs := flag.Args()
	if len(pkgs) == 0 {
		pkgs = defaultPackages
	}
	if err := test(pkgs, *run, *cgroup, *limit); err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		os.Exit(1)
	}
}

func test(pkgs []string, run, cgroup string, limit time.Duration) error {
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	kernel, err := findKernel(cache)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "stack-vm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	root := filepath.Join(tmp, "root")
	tests, err := compile(root, pkgs)
	if err != nil {
		return err
	}
	if err := populate(root, kernel, script(tests, run, cgroup)); err != nil {
		return err
	}
	initrd := filepath.Join(tmp, "initrd")
	if err := writeInitrd(initrd, root); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return boot(ctx, kernel, initrd, len(tests))
}

func cacheDir() (string, error) {
	dir := os.Getenv("STACK_TEST_CACHE")
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(base, "stack-test-images")
	}
	dir = filepath.Join(dir, "vm")
	return dir, os.MkdirAll(dir, 0o755)
}

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

// compiled is one test binary inside the machine, with the directory that it must run in.
type compiled struct{ pkg, dir string }

// compile builds the tests of pkgs into root/t/<n>, each with its package's testdata beside it.
func compile(root string, pkgs []string) ([]compiled, error) {
	out, err := exec.Command("go", append([]string{"list", "-f",
		"{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}"}, pkgs...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var tests []compiled
	for line := range strings.Lines(string(out)) {
		pkg, src, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		dir := filepath.Join(root, "t", fmt.Sprint(len(tests)))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		build := exec.Command("go", "test", "-c", "-o", filepath.Join(dir, "test"), pkg)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("cannot build the tests of %s: %w\n%s", pkg, err, out)
		}
		if data := filepath.Join(src, "testdata"); isDir(data) {
			if err := os.CopyFS(filepath.Join(dir, "testdata"), os.DirFS(data)); err != nil {
				return nil, err
			}
		}
		tests = append(tests, compiled{pkg, fmt.Sprintf("/t/%d", len(tests))})
	}
	if len(tests) == 0 {
		return nil, errors.New("no package has tests")
	}
	return tests, nil
}

func isDir(p string) bool {
	st, err := os.Stat(p)
	return err == nil && st.IsDir()
}

// resultMark begins a line of the console that tells how a package ended.
const resultMark = "VM-RESULT"

// script is what the machine runs after it has left the initramfs.
func script(tests []compiled, run, cgroup string) string {
	var b strings.Builder
	b.WriteString("#!/bin/sh\nexport PATH=/bin:/sbin HOME=/root GOTRACEBACK=all STACK_TEST_VM=1\n")
	b.WriteString("mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev\n")
	b.WriteString("mkdir -p /dev/pts /dev/shm; mount -t devpts devpts /dev/pts; mount -t tmpfs tmpfs /dev/shm; mount -t mqueue mqueue /dev/mqueue 2>/dev/null\n")
	switch cgroup {
	case "hybrid":
		b.WriteString("mount -t tmpfs tmpfs /sys/fs/cgroup\nfor c in cpu cpuacct cpuset memory devices freezer blkio pids; do mkdir /sys/fs/cgroup/$c; mount -t cgroup -o $c cgroup /sys/fs/cgroup/$c; done\n")
		b.WriteString("mkdir /sys/fs/cgroup/unified; mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified\n")
	default:
		b.WriteString("mount -t cgroup2 cgroup2 /sys/fs/cgroup\n")
		b.WriteString("for c in $(cat /sys/fs/cgroup/cgroup.controllers); do echo +$c > /sys/fs/cgroup/cgroup.subtree_control; done\n")
	}
	b.WriteString("for m in overlay veth bridge tun nf_tables nft_chain_nat nft_nat nft_masq nft_ct nft_redir nft_reject_inet nft_fib_inet nft_numgen nft_hash loop; do modprobe $m 2>/dev/null || echo \"vm: no module $m\"; done\n")
	b.WriteString("ip link set lo up; mkdir -p /run /tmp; mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /tmp; ulimit -n 65536\n")
	for _, t := range tests {
		fmt.Fprintf(&b, "echo '=== %s'; cd %s; ./test -test.timeout 10m -test.v", t.pkg, t.dir)
		if run != "" {
			fmt.Fprintf(&b, " -test.run '%s'", run)
		}
		fmt.Fprintf(&b, "; echo %s %s $?\n", resultMark, t.pkg)
	}
	b.WriteString("poweroff -f\n")
	return b.String()
}

// populate fills root with busybox, the modules and the scripts.
func populate(root string, k kernelTree, script string) error {
	for _, d := range []string{"bin", "sbin", "proc", "sys", "dev", "etc", "root", "usr/bin", "var/lib", "newroot", "lib/modules"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return fmt.Errorf("busybox-static is not installed: %w", err)
	}
	// pivot_root(2) refuses to work from the initramfs itself: move into a tmpfs first.
	const init = "#!/bin/busybox sh\n/bin/busybox mount -t tmpfs -o size=80% tmpfs /newroot\n" +
		"for d in bin sbin etc root usr var lib t run.sh; do /bin/busybox cp -a /$d /newroot/; done\n" +
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
	from, to := filepath.Join(k.dir, "lib/modules", k.release), filepath.Join(root, "lib/modules", k.release)
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

// boot runs the machine, shows its console, and counts the packages that passed.
func boot(ctx context.Context, k kernelTree, initrd string, want int) error {
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", "-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2", "-m", "6144",
		"-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-no-reboot", "-serial", "stdio",
		"-kernel", k.vmlinuz, "-initrd", initrd, "-append", "console=ttyS0 quiet panic=-1 loglevel=3 cgroup_enable=memory")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start qemu-system-x86_64 (Debian: qemu-system-x86): %w", err)
	}
	var passed int
	var failed []string
	s := bufio.NewScanner(out)
	s.Buffer(make([]byte, 1<<16), 1<<22)
	for s.Scan() {
		line := strings.TrimRight(s.Text(), "\r")
		fmt.Println(line)
		if _, rest, ok := strings.Cut(line, resultMark+" "); ok {
			if pkg, code, _ := strings.Cut(rest, " "); code == "0" {
				passed++
			} else {
				failed = append(failed, pkg)
			}
		}
	}
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("the machine did not finish in time; %d of %d packages had passed", passed, want)
	case err != nil:
		return fmt.Errorf("qemu: %w\n%s", err, stderr.Bytes())
	case len(failed) > 0:
		return fmt.Errorf("failed: %s", strings.Join(failed, " "))
	case passed != want:
		return fmt.Errorf("only %d of %d packages told their result", passed, want)
	}
	fmt.Printf("%d passed, 0 failed\n", passed)
	return nil
}
