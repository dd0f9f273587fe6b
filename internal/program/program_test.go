package program

import (
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

func TestReadOnly(t *testing.T) {
	const maps = `00400000-00c4d000 r-xp 00000000 fe:00 1                        /usr/bin/stack
00c4d000-016ca000 r--p 0084d000 fe:00 1                        /usr/bin/stack
016ca000-0172a000 rw-p 012ca000 fe:00 1                        /usr/bin/stack
0172a000-01786000 rw-p 00000000 00:00 0 
7f0000000000-7f0000001000 r--s 00000000 fe:00 1                /usr/bin/stack
7f0000002000-7f0000003000 r--p 00000000 fe:00 2                /usr/bin/stack (deleted)
7ffc00000000-7ffc00001000 r-xp 00000000 00:00 0                [vdso]
7ffc00002000-7ffc00003000 r-xp 00000000 fe:00 1                /usr/bin/stack`
	type mapping struct{ from, to uintptr }
	of := func(file string) (all []mapping) {
		for from, to := range readOnly([]byte(maps), []byte(file)) {
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
		before := file()
		if Release() == 0 {
			t.Fatal("nothing was given back")
		}
		if after := file(); after >= before*3/4 {
			t.Errorf("round %d: %d kB of the file are mapped, %d before", i, after, before)
		}
		touch(t)
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
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range readOnly(maps, []byte(link)) {
		if _, err := own.ReadAt(make([]byte, to-from), int64(from)); err != nil {
			t.Fatal(err)
		}
	}
}
