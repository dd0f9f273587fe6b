package sandbox

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/mountinfo"
)

// stageEnv tells a re-executed test binary which of the three processes it is.
const stageEnv = "STACK_SANDBOX_STAGE"

const (
	stageInit = "init" // pid 1 of the new namespaces
	stageTest = "test" // the tests run
)

// MustEnv lists, comma separated, what must not be skipped ("root,sandbox").
const MustEnv = "STACK_TEST_MUST"

// Active says whether this process runs inside a sandbox.
func Active() bool { return os.Getenv(stageEnv) == stageTest }

// Main runs m in a sandbox and returns the exit code for os.Exit. Without the
// privilege to make one it runs m outside: tests that need the sandbox call
// Require, which skips loudly there, or fails where STACK_TEST_MUST names "sandbox".
func Main(m *testing.M) int { return Run(m.Run) }

// Run is Main for a program that is no test: inside runs in a copy of the program, with its arguments.
func Run(inside func() int) int {
	switch os.Getenv(stageEnv) {
	case stageTest:
		return inside()
	case stageInit:
		return initMain()
	}
	if os.Geteuid() != 0 {
		return inside()
	}
	code, err := outer()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot make a sandbox for the tests:", err)
		return 1
	}
	return code
}

// Require skips t outside a sandbox, or fails it when STACK_TEST_MUST names "sandbox".
func Require(t testing.TB) {
	t.Helper()
	if Active() {
		return
	}
	if Must("sandbox") {
		t.Fatal("this test needs the sandbox (root), and STACK_TEST_MUST says that it must run")
	}
	t.Skip("SKIP: needs root to make a sandbox of namespaces")
}

// Must says whether STACK_TEST_MUST names what.
func Must(what string) bool {
	for w := range strings.SplitSeq(os.Getenv(MustEnv), ",") {
		if strings.TrimSpace(w) == what {
			return true
		}
	}
	return false
}

// outer makes the cgroup parent, starts init in new namespaces inside it, and cleans up.
func outer() (int, error) {
	parent := "stack-test-" + randomHex(4)
	hier, err := hierarchies()
	if err != nil {
		return 0, err
	}
	var dirs []string
	defer func() {
		for _, d := range dirs {
			removeCgroups(d)
		}
	}()
	for _, h := range hier {
		d := filepath.Join(h.mountpoint, parent)
		if err := os.Mkdir(d, 0o755); err != nil {
			return 0, err
		}
		dirs = append(dirs, d)
		if h.has("cpuset") {
			inheritCpuset(d)
		}
	}

	// init joins the cgroups itself, before it unshares the cgroup namespace, so that the
	// namespace's root is our parent.
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), stageEnv+"="+stageInit, "STACK_SANDBOX_CGROUPS="+strings.Join(dirs, ":"))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		// A killed `go test` must not leave a sandbox behind; init's death ends every process in it.
		Pdeathsig: unix.SIGKILL,
	}
	runtime.LockOSThread() // Pdeathsig is bound to the thread that forks
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	// go test ends a hanging test with SIGQUIT to see its stacks: hand it on.
	sigs := make(chan os.Signal, 4)
	signal.Notify(sigs, unix.SIGQUIT, unix.SIGINT, unix.SIGTERM)
	go func() {
		for s := range sigs {
			cmd.Process.Signal(s)
		}
	}()
	err = cmd.Wait()
	signal.Stop(sigs)
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), nil
}

// initMain is pid 1: it makes the machine, starts the test, and reaps until the test ends.
func initMain() int {
	if err := setUp(); err != nil {
		fmt.Fprintln(os.Stderr, "cannot set up the test sandbox:", err)
		return 1
	}
	os.Setenv(stageEnv, stageTest) // not appended: of two entries the first would win
	// By /proc, not by name: the binary may lie on a /tmp that is covered now.
	pid, err := syscall.ForkExec("/proc/self/exe", os.Args, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot start the tests:", err)
		return 1
	}
	sigs := make(chan os.Signal, 4)
	signal.Notify(sigs, unix.SIGQUIT, unix.SIGINT, unix.SIGTERM)
	go func() {
		for s := range sigs {
			syscall.Kill(pid, s.(syscall.Signal))
		}
	}()
	for {
		var ws syscall.WaitStatus
		got, err := syscall.Wait4(-1, &ws, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "cannot wait for the tests:", err)
			return 1
		}
		if got == pid {
			if ws.Signaled() {
				return 128 + int(ws.Signal())
			}
			return ws.ExitStatus()
		}
	}
}

func setUp() error {
	for d := range strings.SplitSeq(os.Getenv("STACK_SANDBOX_CGROUPS"), ":") {
		if err := os.WriteFile(filepath.Join(d, "cgroup.procs"), []byte("0"), 0); err != nil {
			return err
		}
	}
	// Every thread of this process is in the cgroups now. The namespace is per thread, and the
	// children come from whichever thread forks: so stay on this one.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("unshare cgroup namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := dropNamespaces(); err != nil {
		return err
	}
	// Where the host has the test's own files on /tmp or /run, they are seen through the working
	// directory and the executable, which go by fd; keep the places that Go itself uses.
	keep := keepers()
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	if err := mountCgroups(); err != nil {
		return err
	}
	for _, d := range []string{"/run", "/tmp"} {
		if err := coverWithTmpfs(d, keep); err != nil {
			return err
		}
	}
	if err := unix.Sethostname([]byte("sandbox")); err != nil {
		return err
	}
	// A network namespace is born with the host's (Documentation/networking/ip-sysctl.rst, devconf_inherit_init_net), which a daemon there may
	// have turned on.
	for _, k := range watchedSysctls {
		if err := os.WriteFile("/proc/sys/"+k, []byte("0"), 0); err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel without IPv6
			return err
		}
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// dropNamespaces unmounts the namespaces that others hold by a file. A daemon beside us that removes one takes it away here too, as the kernel does with what is
// mounted on a file that is removed (unlink(2) since Linux 3.18): to a test it would be something of its own that is gone.
func dropNamespaces() error {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(table)) {
		pre, post, _ := strings.Cut(line, " - ")
		left, right := strings.Fields(pre), strings.Fields(post)
		if len(left) < 5 || len(right) == 0 || right[0] != "nsfs" {
			continue
		}
		if err := unix.Unmount(mountinfo.Unescape(left[4]), unix.MNT_DETACH); err != nil && err != unix.EINVAL && err != unix.ENOENT { // gone by now
			return fmt.Errorf("umount2 %s: %w", left[4], err)
		}
	}
	return nil
}

// keepers are the directories below /tmp or /run that must stay visible: where the test binary
// and its working directory are, and Go's scratch.
func keepers() []string {
	var keep []string
	if exe, err := os.Executable(); err == nil {
		keep = append(keep, filepath.Dir(exe))
	}
	if wd, err := os.Getwd(); err == nil {
		keep = append(keep, wd)
	}
	for _, v := range []string{"GOTMPDIR", "GOCOVERDIR", "GOCACHE", "STACK_TEST_CACHE"} {
		if d := os.Getenv(v); filepath.IsAbs(d) {
			keep = append(keep, d)
		}
	}
	// -test.coverprofile, -test.testlogfile and the like name files that the outside reads.
	for _, a := range os.Args[1:] {
		if _, v, ok := strings.Cut(a, "="); ok && filepath.IsAbs(v) {
			keep = append(keep, filepath.Dir(v))
		}
	}
	return keep
}

// coverWithTmpfs mounts a fresh tmpfs on dir and binds what keep names below dir back into it.
func coverWithTmpfs(dir string, keep []string) error {
	type held struct {
		path string
		fd   int
	}
	var open []held
	for _, k := range keep {
		if k != dir && strings.HasPrefix(k, dir+"/") {
			fd, err := unix.OpenTree(unix.AT_FDCWD, k, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
			if err != nil {
				return fmt.Errorf("open_tree %s: %w", k, err)
			}
			open = append(open, held{k, fd})
		}
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"); err != nil {
		return err
	}
	for _, h := range open {
		if err := os.MkdirAll(h.path, 0o755); err != nil {
			return err
		}
		if err := unix.MoveMount(h.fd, "", unix.AT_FDCWD, h.path, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return fmt.Errorf("move_mount %s: %w", h.path, err)
		}
		unix.Close(h.fd)
	}
	return nil
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails, see crypto/rand
	return hex.EncodeToString(b)
}
