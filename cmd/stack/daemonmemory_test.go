package main

import (
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

func TestReadOnlyMappings(t *testing.T) {
	const maps = `00400000-00c4d000 r-xp 00000000 fe:00 1 /usr/bin/stack
00c4d000-016ca000 r--p 0084d000 fe:00 1 /usr/bin/stack
016ca000-0172a000 rw-p 012ca000 fe:00 1 /usr/bin/stack
0172a000-01786000 rw-p 00000000 00:00 0
7f0000000000-7f0000001000 r--s 00000000 fe:00 1 /usr/bin/stack
7f0000002000-7f0000003000 r--p 00000000 fe:00 2 /usr/bin/stack (deleted)
7ffc00000000-7ffc00001000 r-xp 00000000 00:00 0 [vdso]
`
	want := []mapping{{0x400000, 0xc4d000}, {0xc4d000, 0x16ca000}}
	if got := readOnlyMappings(strings.NewReader(maps), "/usr/bin/stack"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	// A daemon whose binary was replaced meanwhile: both the link and the mappings say so.
	if got := readOnlyMappings(strings.NewReader(maps), "/usr/bin/stack (deleted)"); len(got) != 1 {
		t.Errorf("got %x", got)
	}
}

func TestReleaseProgramEachTime(t *testing.T) {
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
	commands := func() int {
		root := newRoot(&app{})
		(&app{}).addVerbs(root, "")
		return len(root.Commands())
	}
	for i := range 2 { // the second time as the first
		commands() // touches some of it
		before := file()
		if releaseProgram() == 0 {
			t.Fatal("nothing was given back")
		}
		if after := file(); after >= before*3/4 {
			t.Errorf("round %d: %d kB of the file are mapped, %d before", i, after, before)
		}
	}
	if commands() == 0 { // and what is needed comes back
		t.Error("no commands")
	}
}
