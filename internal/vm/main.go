// Command vm runs test binaries of this module on another kernel: Debian's cloud kernel under qemu
// (software emulation, no network card), where cgroup v2 is the only hierarchy; on this host's architecture, or on another one.
//
//	go run ./internal/vm [-arch amd64|arm64] [-run REGEXP] [-cgroup v2|hybrid] [PACKAGE[:REGEXP]…]
//	go run ./internal/vm -unit
//
// With -unit it boots systemd instead, installs the unit as `make install` does, and tries it: unit.sh.
//
// A package's own REGEXP says which of its tests run; -run says it for those without. It needs qemu's system emulator, kmod,
// busybox-static, and apt-get, which downloads the kernel. Everything that it makes is below the user's
// cache directory, or STACK_TEST_CACHE. There is no Go toolchain in the machine: what tests would build with it
// (sandbox.Program), and stack itself for ./internal/e2e, is built before, for the machine's architecture, and the test images are made for it.
// The exit code is 1 when a test failed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// What depends on the kernel, and the whole stack with real servers.
var defaultPackages = []string{"./internal/sandbox", "./runtime/...", "./network/...", "./image/...", "./volume/...", "./build/rootfs", "./build:^(TestCopy|TestRun.*|TestStages|TestMounts)$", "./internal/e2e:" + wholeStackTests}

// wholeStackTests are those that an emulated machine has time for.
const wholeStackTests = "^(TestSmoke|TestShop|TestLifecycle|TestExec|TestProcess|TestMemoryLimit|TestHealth|TestRestartPolicy|TestDaemonKilled|TestVolumes|TestAttributesTakeEffect|TestDeviceRules|TestImageMount|TestPorts|TestContainersOnTheWire|TestNoHalfMadeState|TestBuildUp|TestPush|TestStandaloneRun|TestStandaloneLife|TestEngineAPI)$"

func main() {
	of := flag.String("arch", runtime.GOARCH, "architecture of the machine: amd64 or arm64")
	run := flag.String("run", "", "run only tests that match")
	cgroup := flag.String("cgroup", "v2", "cgroup layout of the machine: v2 or hybrid")
	unit := flag.Bool("unit", false, "test the systemd unit instead, under this Debian's systemd")
	limit := flag.Duration("timeout", 60*time.Minute, "bound on the whole run")
	flag.Parse()
	pkgs := flag.Args()
	if len(pkgs) == 0 {
		pkgs = defaultPackages
	}
	a, err := archNamed(*of)
	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	defer cancel()
	switch {
	case err != nil:
	case *unit:
		err = testUnit(ctx, a)
	default:
		err = test(ctx, a, pkgs, *run, *cgroup)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		cancel()
		os.Exit(1)
	}
}

func test(ctx context.Context, a arch, pkgs []string, run, cgroup string) error {
	setUp, ok := cgroupLayouts[cgroup]
	if !ok {
		return fmt.Errorf("-cgroup %s is not known: expected v2 or hybrid", cgroup)
	}
	return start(ctx, a, "", func(root, cache string) (string, int, error) {
		b, err := newBuilder(a, filepath.Join(filepath.Dir(root), "build"))
		if err != nil {
			return "", 0, err
		}
		tests, err := b.compile(root, pkgs, run)
		if err != nil {
			return "", 0, err
		}
		if err := b.programs(filepath.Join(root, "programs")); err != nil {
			return "", 0, err
		}
		for _, t := range tests {
			if t.pkg == wholeStack {
				if err := b.addStack(ctx, root, cache); err != nil {
					return "", 0, err
				}
			}
		}
		return script(tests, setUp), len(tests), nil
	})
}

// start makes a machine and runs it to its end. fill puts into its root what it is for, and gives its script and the number of results
// that this is to tell.
func start(ctx context.Context, a arch, options string, fill func(root, cache string) (script string, want int, err error)) error {
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	s, err := findSystem(ctx, filepath.Join(cache, "vm"), a.goarch)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "stack-vm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	root := filepath.Join(tmp, "root")
	script, want, err := fill(root, cache)
	if err != nil {
		return err
	}
	if err := populate(root, s, script); err != nil {
		return err
	}
	initrd := filepath.Join(tmp, "initrd")
	if err := writeInitrd(initrd, root); err != nil {
		return err
	}
	return boot(ctx, a, s, initrd, options, want)
}

// cacheDir is that of the test images (internal/testimage), where the kernel lies too.
func cacheDir() (string, error) {
	dir := os.Getenv("STACK_TEST_CACHE")
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(base, "stack-test-images")
	}
	return dir, os.MkdirAll(filepath.Join(dir, "vm"), 0o755)
}
