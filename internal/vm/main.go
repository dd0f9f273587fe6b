// Command vm runs test binaries of this module on another kernel: Debian's cloud kernel under qemu
// (software emulation, no network card), where cgroup v2 is the only hierarchy.
//
//	go run ./internal/vm [-run REGEXP] [-cgroup v2|hybrid] [PACKAGE[:REGEXP]…]
//	go run ./internal/vm -unit
//
// With -unit it boots systemd instead, installs the unit as `make install` does, and tries it: unit.sh.
//
// A package's own REGEXP says which of its tests run; -run says it for those without. It needs qemu-system-x86_64,
// busybox-static, kmod and apt-get (for the kernel package). Everything that it makes is below the user's
// cache directory, or STACK_TEST_CACHE. There is no Go toolchain in the machine: what tests would build with it
// (sandbox.Program) is built before. ./internal/e2e wants STACK_TEST_BIN and the test images, which go in too; `make test-vm`
// makes both. The exit code is 1 when a test failed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// What depends on the kernel, and the whole stack with real servers.
var defaultPackages = []string{"./internal/sandbox", "./runtime/...", "./network/...", "./image/...", "./volume/...", "./build/rootfs", "./build:^(TestCopy|TestRun.*|TestStages|TestMounts)$", "./internal/e2e:" + wholeStackTests}

// wholeStackTests are those that an emulated machine has time for.
const wholeStackTests = "^(TestSmoke|TestShop|TestLifecycle|TestExec|TestProcess|TestMemoryLimit|TestHealth|TestRestartPolicy|TestDaemonKilled|TestVolumes|TestAttributesTakeEffect|TestDeviceRules|TestImageMount|TestPorts|TestContainersOnTheWire|TestNoHalfMadeState|TestBuildUp|TestPush|TestStandaloneRun|TestStandaloneLife|TestEngineAPI)$"

func main() {
	run := flag.String("run", "", "run only tests that match")
	cgroup := flag.String("cgroup", "v2", "cgroup layout of the machine: v2 or hybrid")
	unit := flag.Bool("unit", false, "test the systemd unit instead, under this Debian's systemd")
	limit := flag.Duration("timeout", 60*time.Minute, "bound on the whole machine's life")
	flag.Parse()
	pkgs := flag.Args()
	if len(pkgs) == 0 {
		pkgs = defaultPackages
	}
	var err error
	if *unit {
		err = start(*limit, unitOptions, addUnit)
	} else {
		err = test(pkgs, *run, *cgroup, *limit)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		os.Exit(1)
	}
}

func test(pkgs []string, run, cgroup string, limit time.Duration) error {
	setUp, ok := cgroupLayouts[cgroup]
	if !ok {
		return fmt.Errorf("-cgroup %s is not known: expected v2 or hybrid", cgroup)
	}
	return start(limit, "", func(root, cache string) (string, int, error) {
		tests, err := compile(root, pkgs, run)
		if err != nil {
			return "", 0, err
		}
		if err := buildPrograms(filepath.Join(root, "programs")); err != nil {
			return "", 0, err
		}
		for _, t := range tests {
			if t.pkg == wholeStack {
				if err := addStack(root, cache); err != nil {
					return "", 0, err
				}
			}
		}
		return script(tests, setUp), len(tests), nil
	})
}

// start makes a machine and runs it to its end. fill puts into its root what it is for, and gives its script and the number of results
// that this is to tell.
func start(limit time.Duration, options string, fill func(root, cache string) (script string, want int, err error)) error {
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	kernel, err := findKernel(filepath.Join(cache, "vm"))
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
	if err := populate(root, kernel, script); err != nil {
		return err
	}
	initrd := filepath.Join(tmp, "initrd")
	if err := writeInitrd(initrd, root); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return boot(ctx, kernel, initrd, options, want)
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
