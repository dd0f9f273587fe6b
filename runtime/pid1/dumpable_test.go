package pid1_test

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/pid1"
	"github.com/stackrun/stack/runtime/sealed"
)

// While PID 1 holds the monitor's socket nobody of the container may look into it; afterwards root of the container may. The files of
// a process that is not dumpable belong to root, proc_pid(5), so a process of an ordinary user shows it at every system call.
func TestIsDumpableOnlyWithoutTheSocket(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIP: needs root")
	}
	if pid1.Program() == nil {
		t.Skip("SKIP: there is none for " + runtime.GOARCH)
	}
	program, err := sealed.Program("pid1", pid1.Program())
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(program)
	sockets, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(sockets[0])
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()

	runtime.LockOSThread() // ptrace(2) is a matter of threads
	defer runtime.UnlockOSThread()
	n := null.Fd()
	pid, err := syscall.ForkExec(fmt.Sprintf("/proc/self/fd/%d", program), []string{"pid1", "/bin/true", "true"}, &syscall.ProcAttr{
		Files: []uintptr{n, n, n, n, uintptr(sockets[1])},
		Sys:   &syscall.SysProcAttr{Ptrace: true, Credential: &syscall.Credential{Uid: 1000, Gid: 1000}},
	})
	unix.Close(sockets[1])
	if err != nil {
		t.Fatal(err)
	}
	var held, free int
	for stop := 0; ; stop++ {
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
			t.Fatal(err)
		}
		if status.Exited() {
			if status.ExitStatus() != 0 {
				t.Errorf("exit status %d", status.ExitStatus())
			}
			break
		}
		if stop >= 2 { // after its first system call
			var st unix.Stat_t
			if err := unix.Stat(fmt.Sprintf("/proc/%d/environ", pid), &st); err != nil {
				t.Fatal(err)
			}
			_, err := os.Lstat(fmt.Sprintf("/proc/%d/fd/4", pid))
			switch {
			case err == nil && st.Uid != 0:
				t.Fatalf("stop %d: dumpable, and holds the socket", stop)
			case err == nil:
				held++
			case st.Uid != 0:
				free++
			}
		}
		sig := 0
		if s := status.StopSignal(); s != unix.SIGTRAP {
			sig = int(s)
		}
		if err := syscall.PtraceSyscall(pid, sig); err != nil {
			t.Fatal(err)
		}
	}
	if held == 0 || free == 0 {
		t.Errorf("seen %d times with the socket, %d times dumpable without", held, free)
	}
}
