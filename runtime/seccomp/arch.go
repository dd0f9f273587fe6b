package seccomp

//go:generate go run ./gen -o numbers.go

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
)

// abi is one way into the kernel: a number space of system calls.
type abi struct {
	arch  specs.Arch
	audit uint32 // seccomp_data.arch
	// bit is or-ed into every number; x32 shares its audit value with x86_64 and is told by it.
	bit     uint32
	wide    bool // arguments have 64 bits
	numbers []numbered
}

// numbered is a system call and its number. The tables are sorted by name.
type numbered struct {
	name   string
	number uint32
}

// x32Bit is __X32_SYSCALL_BIT.
const x32Bit = 0x40000000

// armPrivate is __ARM_NR_BASE: numbers from here on are ARM's own and stand apart from the others.
const armPrivate = 0x0f0000

// machine is what a 64-bit machine's kernel can run, native first.
func machine(goarch string) ([]abi, error) {
	switch goarch {
	case "amd64":
		return []abi{
			{specs.ArchX86_64, unix.AUDIT_ARCH_X86_64, 0, true, numbersX86_64},
			{specs.ArchX32, unix.AUDIT_ARCH_X86_64, x32Bit, true, numbersX32},
			{specs.ArchX86, unix.AUDIT_ARCH_I386, 0, false, numbersI386},
		}, nil
	case "arm64":
		return []abi{
			{specs.ArchAARCH64, unix.AUDIT_ARCH_AARCH64, 0, true, numbersAARCH64},
			{specs.ArchARM, unix.AUDIT_ARCH_ARM, 0, false, numbersARM},
		}, nil
	}
	return nil, errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("seccomp on %s: only amd64 and arm64 are supported", goarch))
}

// abis are those of this machine that the profile names, and always the native one.
func abis(names []specs.Arch) ([]abi, error) {
	all, err := machine(runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	out := all[:1:1]
	for _, a := range all[1:] {
		for _, n := range names {
			if n == a.arch {
				out = append(out, a)
				break
			}
		}
	}
	return out, nil
}

// sinceUnified are calls newer than the tables. From 424 (Linux 5.1) on a call has one number on every architecture.
var sinceUnified = map[string]uint32{
	"file_getattr":     468, // 6.17
	"file_setattr":     469, // 6.17
	"listns":           470, // 6.19
	"rseq_slice_yield": 471, // 7.0
}

var armOwn = map[string]uint32{
	"breakpoint": armPrivate + 1,
	"cacheflush": armPrivate + 2,
	"set_tls":    armPrivate + 5,
	"get_tls":    armPrivate + 6,
}

// number is name's number as seccomp_data.nr shows it.
func (a abi) number(name string) (uint32, bool) {
	if i, ok := slices.BinarySearchFunc(a.numbers, name, func(n numbered, name string) int { return strings.Compare(n.name, name) }); ok {
		// The x32 table may or may not carry the bit already.
		return a.numbers[i].number | a.bit, true
	}
	if n, ok := sinceUnified[name]; ok {
		return n | a.bit, true
	}
	if a.arch == specs.ArchARM {
		n, ok := armOwn[name]
		return n, ok
	}
	return 0, false
}
