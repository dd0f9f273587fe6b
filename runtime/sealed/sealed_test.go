package sealed

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

func TestProgram(t *testing.T) {
	script, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Skip("SKIP: there is no /bin/true")
	}
	fd, err := Program("a-program", script)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "a-program")
	defer f.Close()
	path := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	cmd := exec.Command(path)
	cmd.Args[0] = "true" // where it is busybox's
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("cannot run it: %v, %s", err, out)
	}
	if _, err := f.Write([]byte("x")); err == nil {
		t.Error("written through the descriptor that is handed out")
	}
	// Root may open it for writing, and even so cannot change it (CVE-2019-5736).
	if w, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
		if _, err := w.WriteAt([]byte("x"), 0); !errors.Is(err, unix.EPERM) {
			t.Errorf("write: %v", err)
		}
		if err := w.Truncate(0); !errors.Is(err, unix.EPERM) {
			t.Errorf("truncate: %v", err)
		}
		if _, err := unix.FcntlInt(w.Fd(), unix.F_ADD_SEALS, 0); !errors.Is(err, unix.EPERM) {
			t.Errorf("another seal: %v", err)
		}
		w.Close()
	}
}
