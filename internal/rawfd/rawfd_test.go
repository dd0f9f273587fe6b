package rawfd

import (
	"bytes"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWriteAll(t *testing.T) {
	fd, err := unix.MemfdCreate("written", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "written")
	defer f.Close()
	for _, part := range []string{"one ", "", "two"} {
		if err := WriteAll(fd, []byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(f); err != nil || string(b) != "one two" {
		t.Errorf("%q, %v", b, err)
	}
}

// A pipe that is full takes a part: the rest is tried, and its error told.
func TestWriteAllOfWhatIsTakenInPart(t *testing.T) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ends[0])
	text := bytes.Repeat([]byte("0123456789"), 100<<10)
	err := WriteAll(ends[1], text)
	unix.Close(ends[1])
	if err != unix.EAGAIN {
		t.Fatalf("a full pipe has taken all: %v", err)
	}
	got := make([]byte, len(text))
	n, err := unix.Read(ends[0], got)
	if err != nil || n == 0 || !bytes.Equal(got[:n], text[:n]) {
		t.Errorf("%d bytes, %v", n, err)
	}
}
