package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// resultMark begins a line of the console that tells how a package ended.
const resultMark = "VM-RESULT"

// cgroupLayouts are the shell lines that mount the control groups as a distribution would.
var cgroupLayouts = map[string]string{
	"v2": `mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup
for c in $(cat /sys/fs/cgroup/cgroup.controllers); do echo +$c > /sys/fs/cgroup/cgroup.subtree_control; done
`,
	"hybrid": `mount -t tmpfs tmpfs /sys/fs/cgroup
for c in cpu cpuacct cpuset memory devices freezer blkio pids; do mkdir /sys/fs/cgroup/$c; mount -t cgroup -o $c cgroup /sys/fs/cgroup/$c; done
mkdir /sys/fs/cgroup/unified; mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
`,
}

// script is what the machine runs after it has left the initramfs. Modules are left to the kernel, which asks modprobe for them, but
// for tun, whose device file is made by whoever starts a machine.
func script(tests []compiled, cgroups string) string {
	var b strings.Builder
	b.WriteString(`#!/bin/sh
export PATH=/bin:/sbin HOME=/root GOTRACEBACK=all STACK_TEST_PROGRAMS=/programs STACK_TEST_BIN=/bin/stack STACK_TEST_CACHE=/images STACK_TEST_SLOW=5 STACK_TEST_MUST=links
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /dev/mqueue; mount -t devpts devpts /dev/pts; mount -t tmpfs tmpfs /dev/shm; mount -t mqueue mqueue /dev/mqueue
ln -s /proc/self/fd /dev/fd
`)
	b.WriteString(cgroups)
	b.WriteString(`modprobe tun || echo "vm: no module tun"
ip link set lo up; mkdir -p /run /tmp; mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /tmp; ulimit -n 65536
`)
	for _, t := range tests {
		fmt.Fprintf(&b, "echo '=== %s'; cd %s; ./test -test.timeout 15m -test.v", t.pkg, t.dir)
		if t.run != "" {
			fmt.Fprintf(&b, " -test.run '%s'", t.run)
		}
		fmt.Fprintf(&b, "; echo %s %s $?\n", resultMark, t.pkg)
	}
	b.WriteString("poweroff -f\n")
	return b.String()
}

// boot runs the machine, shows its console, and counts the packages that passed.
func boot(ctx context.Context, a arch, s system, initrd, options string, want int) error {
	cmd := exec.CommandContext(ctx, a.emulator, append(slices.Clone(a.machine), "-smp", "2", "-m", "6144",
		"-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-no-reboot", "-serial", "stdio",
		"-kernel", s.vmlinuz, "-initrd", initrd, "-append", "console="+a.console+" quiet panic=-1 loglevel=3 cgroup_enable=memory "+options)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start %s (Debian: %s): %w", a.emulator, a.debian, err)
	}
	var passed int
	var failed []string
	console := bufio.NewScanner(out)
	console.Buffer(make([]byte, 1<<16), 1<<22)
	for console.Scan() {
		line := strings.TrimRight(console.Text(), "\r")
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
