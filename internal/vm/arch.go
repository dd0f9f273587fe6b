package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// arch is what a machine of one architecture is made of.
type arch struct {
	goarch   string   // as Go and Debian call it
	emulator string   // command of qemu
	debian   string   // the package that the emulator is in
	machine  []string // its arguments that differ
	console  string   // the serial port, as its kernel calls it
	compat   string   // GOARCH of the 32-bit programs that its kernel runs too
}

// arches by their name. All are emulated everywhere: a /dev/kvm inside of another virtual machine may be there and hang.
var arches = map[string]arch{
	"amd64": {"amd64", "qemu-system-x86_64", "qemu-system-x86", []string{"-machine", "q35,accel=tcg", "-cpu", "max"}, "ttyS0", "386"},
	// Of "max", what is left out takes most of the time and is nothing that tests ask for. It is a processor that runs 32-bit programs.
	"arm64": {"arm64", "qemu-system-aarch64", "qemu-system-arm", []string{"-machine", "virt,accel=tcg,gic-version=3", "-cpu", "max,pauth-impdef=on"}, "ttyAMA0", "arm"},
}

func archNamed(name string) (arch, error) {
	a, ok := arches[name]
	if !ok {
		return arch{}, fmt.Errorf("-arch %s is not known: expected one of %s", name, strings.Join(slices.Sorted(maps.Keys(arches)), ", "))
	}
	return a, nil
}
