package program

import (
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestReadOnly(t *testing.T) {
	const smaps = `00400000-00c4d000 r-xp 00000000 fe:00 1                        /usr/bin/stack
Size:               8500 kB
Rss:                3000 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me 
00c4d000-016ca000 r--p 0084d000 fe:00 1                        /usr/bin/stack
Anonymous:             0 kB
016ca000-0172a000 rw-p 012ca000 fe:00 1                        /usr/bin/stack
Anonymous:             0 kB
0172a000-01786000 rw-p 00000000 00:00 0 
Anonymous:             8 kB
01800000-01900000 r--p 012ca000 fe:00 1                        /usr/bin/stack
Rss:                   8 kB
Anonymous:             4 kB
7f0000000000-7f0000001000 r--s 00000000 fe:00 1                /usr/bin/stack
Anonymous:             0 kB
7f0000002000-7f0000003000 r--p 00000000 fe:00 2                /usr/bin/stack (deleted)
Anonymous:             0 kB
7ffc00000000-7ffc00001000 r-xp 00000000 00:00 0                [vdso]
Anonymous:             0 kB
7ffc00002000-7ffc00003000 r-xp 00000000 fe:00 1                /usr/bin/stack
Anonymous:             0 kB`
	type mapping struct{ from, to uintptr }
	of := func(file string) (all []mapping) {
		for from, to := range readOnly([]byte(smaps), []byte(file)) {
			all = append(all, mapping{from, to})
		}
		return all
	}
	if got, want := of("/usr/bin/stack"), []mapping{{0x400000, 0xc4d000}, {0xc4d000, 0x16ca000}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	// A program whose file was replaced meanwhile: both the link and the mappings say so.
	if got, want := of("/usr/bin/stack (deleted)"), []mapping{{0x7f0000002000, 0x7f0000003000}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

// TestReleaseKeepsWhatWasWritten: what was made read-only after it had been written to, as the relocations of a program that can be anywhere, stays.
func TestReleaseKeepsWhatWasWritten(t *testing.T) {
	own, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	// Below the program: its mappings are looked at from the lowest address on.
	const at, size = 0x100000, 0x10000
	p, err := unix.MmapPtr(int(own.Fd()), 0, unsafe.Add(nil, at), size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED_NOREPLACE)
	if err != nil {
		t.Skip("SKIP: there is no room below the program: ", err)
	}
	defer unix.MunmapPtr(p, size)
	b := unsafe.Slice((*byte)(p), size)
	b[5000] ^= 0xff
	want := b[5000]
	if err := unix.Mprotect(b, unix.PROT_READ); err != nil {
		t.Fatal(err)
	}
	if Release() == 0 {
		t.Fatal("nothing was given back")
	}
	if got := b[5000]; got != want {
		t.Errorf("what was written is %#x now and was %#x: it was read from the file again", got, want)
	}
}

func TestReleaseEachTime(t *testing.T) {
	file := func() int {
		t.Helper()
		b, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(b), "RssFile:")
		n, err := strconv.Atoi(strings.Fields(rest)[0])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for i := range 2 { // the second time as the first
		touch(t)
		before := file()
		if Release() == 0 {
			t.Fatal("nothing was given back")
		}
		if after := file(); after >= before*3/4 {
			t.Errorf("round %d: %d kB of the file are mapped, %d before", i, after, before)
		}
	}
}

// touch maps the program's text and data again.
func touch(t *testing.T) {
	t.Helper()
	own, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	link, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range readOnly(smaps, []byte(link)) {
		if _, err := own.ReadAt(make([]byte, to-from), int64(from)); err != nil {
			t.Fatal(err)
		}
	}
}
