package pid1_test

import (
	"bytes"
	"debug/elf"
	"runtime"
	"testing"

	"github.com/stackrun/stack/runtime/pid1"
)

// What the kernel's loader reads, as another reader of ELF sees it.
func TestProgramIsASmallStaticFile(t *testing.T) {
	b := pid1.Program()
	if b == nil {
		t.Skip("SKIP: there is none for " + runtime.GOARCH)
	}
	if len(b) > 1024 {
		t.Errorf("%d bytes", len(b))
	}
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[runtime.GOARCH]; f.Type != elf.ET_EXEC || f.Machine != want {
		t.Errorf("%v for %v, want an executable for %v", f.Type, f.Machine, want)
	}
	for _, p := range f.Progs {
		switch {
		case p.Flags&elf.PF_W != 0 && p.Flags&elf.PF_X != 0:
			t.Errorf("%v is writable and executable", p.Type)
		case p.Type == elf.PT_LOAD && (p.Filesz != uint64(len(b)) || f.Entry < p.Vaddr || f.Entry >= p.Vaddr+p.Memsz):
			t.Errorf("loads %d of %d bytes at %#x, entry at %#x", p.Filesz, len(b), p.Vaddr, f.Entry)
		}
	}
	if !bytes.Equal(b, pid1.Program()) {
		t.Error("another one at the second call")
	}
}
