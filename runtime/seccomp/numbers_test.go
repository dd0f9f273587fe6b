package seccomp

import (
	"slices"
	"strings"
	"testing"

	tables "github.com/elastic/go-seccomp-bpf/arch"
)

// The generated tables are those that they are generated from, whole and in order: `go generate ./runtime/seccomp` after an upgrade.
func TestNumbersAreThoseOfTheTables(t *testing.T) {
	for name, x := range map[string]struct {
		ours   []numbered
		theirs *tables.Info
	}{
		"x86_64": {numbersX86_64, tables.X86_64}, "x32": {numbersX32, tables.X32}, "i386": {numbersI386, tables.I386},
		"aarch64": {numbersAARCH64, tables.AARCH64}, "arm": {numbersARM, tables.ARM},
	} {
		if !slices.IsSortedFunc(x.ours, func(a, b numbered) int { return strings.Compare(a.name, b.name) }) {
			t.Errorf("%s: not sorted by name", name)
		}
		highest := map[string]int{}
		for number, call := range x.theirs.SyscallNumbers {
			if name == "aarch64" && call == "fstatat" { // see gen
				call = "newfstatat"
			}
			highest[call] = max(highest[call], number)
		}
		if len(x.ours) != len(highest) || len(highest) == 0 {
			t.Errorf("%s: %d calls, the tables have %d", name, len(x.ours), len(highest))
		}
		for call, want := range highest {
			if got, ok := (abi{numbers: x.ours}).number(call); !ok || int(got) != want {
				t.Errorf("%s %s: %d, %v; the tables say %d", name, call, got, ok, want)
			}
		}
	}
}

// TestStatHasANumber: what every program calls is known by the name that profiles have for it, on every machine.
func TestStatHasANumber(t *testing.T) {
	for arch, want := range map[string]struct {
		names  []numbered
		call   string
		number uint32
	}{
		"x86_64": {numbersX86_64, "newfstatat", 262}, "x32": {numbersX32, "newfstatat", 262}, "i386": {numbersI386, "fstatat64", 300},
		"aarch64": {numbersAARCH64, "newfstatat", 79}, "arm": {numbersARM, "fstatat64", 327},
	} {
		if got, ok := (abi{numbers: want.names}).number(want.call); !ok || got != want.number {
			t.Errorf("%s %s: %d, %v", arch, want.call, got, ok)
		}
	}
}
