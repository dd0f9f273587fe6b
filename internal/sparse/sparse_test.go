package sparse

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWrite: what is read back is what was written, wherever holes begin and end, and long runs of zeros take no blocks.
func TestWrite(t *testing.T) {
	zero := func(n int) string { return strings.Repeat("\x00", n) }
	for name, c := range map[string]struct {
		content string
		blocks  int64 // at most, of 512 bytes; -1 = as many as there are
	}{
		"nothing":       {"", 0},
		"text":          {"text", -1},
		"zeros":         {zero(1 << 20), 0},
		"a hole first":  {zero(4*hole) + "end", 128},
		"a hole last":   {"begin" + zero(4*hole), 256},
		"between":       {"begin" + zero(5*hole+7) + "end", 512},
		"almost a hole": {"x" + zero(hole-1) + "y", -1},
		"less than one": {zero(hole - 1), -1},
		"of odd length": {zero(hole) + strings.Repeat("x", hole+3) + zero(2*hole+1), -1},
	} {
		for _, room := range []int{hole, 2*hole + 5, 1 << 20} {
			path := filepath.Join(t.TempDir(), "f")
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := Write(int(f.Fd()), strings.NewReader(c.content), int64(len(c.content)), make([]byte, room)); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(got, []byte(c.content)) {
				t.Errorf("%s, by %d: another content comes back: %d bytes of %d, %v", name, room, len(got), len(c.content), err)
			}
			var st unix.Stat_t
			if err := unix.Fstat(int(f.Fd()), &st); err != nil || c.blocks >= 0 && room%hole == 0 && st.Blocks > c.blocks {
				t.Errorf("%s, by %d: %d blocks, at most %d expected, %v", name, room, st.Blocks, c.blocks, err)
			}
		}
	}
}

func TestWriteFails(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := Write(int(f.Fd()), strings.NewReader("short"), 6, make([]byte, 16)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a stream that is too short: %v", err)
	}
	if err := Write(int(f.Fd()), strings.NewReader(""), 6, make([]byte, 16)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an empty stream: %v", err)
	}
	broken := errors.New("broken")
	if err := Write(int(f.Fd()), io.MultiReader(strings.NewReader("a"), failing{broken}), 6, make([]byte, 16)); !errors.Is(err, broken) {
		t.Errorf("a stream that breaks: %v", err)
	}
	if err := Write(-1, strings.NewReader("a"), 1, make([]byte, 16)); !errors.Is(err, unix.EBADF) {
		t.Errorf("a file that cannot be written: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
