package initprog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSeal(t *testing.T) {
	script, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Skip("SKIP: there is no /bin/true")
	}
	f, err := Seal(script)
	if err != nil {
		t.Fatal(err)
	}
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

func TestOpen(t *testing.T) {
	f, err := Open()
	if errors.Is(err, fs.ErrNotExist) {
		if !strings.Contains(err.Error(), "make init") {
			t.Errorf("the error does not say what to do: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	magic := make([]byte, 4)
	if _, err := io.ReadFull(f, magic); err != nil || string(magic) != "\x7fELF" {
		t.Errorf("%q, %v", magic, err)
	}
}
