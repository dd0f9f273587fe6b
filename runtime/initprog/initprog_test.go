package initprog

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
)

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
