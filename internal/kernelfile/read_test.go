package kernelfile

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRead(t *testing.T) {
	var room [512]byte
	got, err := Read("/proc/self/stat", room[:])
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := os.ReadFile("/proc/self/stat"); len(got) < 52 || string(got[:10]) != string(want[:10]) || got[len(got)-1] != '\n' {
		t.Errorf("got %q, expected something like %q", got, want)
	}
	if got, err := Read("/proc/self/stat", room[:4]); err != nil || len(got) != 4 {
		t.Errorf("into four bytes: %q, %v", got, err)
	}
	if _, err := Read("/proc/self/nothing", room[:]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := Read("/proc/self", room[:]); !errors.Is(err, unix.EISDIR) {
		t.Errorf("a directory: %v", err)
	}
}
