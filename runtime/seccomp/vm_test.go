package seccomp

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// call is struct seccomp_data.
type call struct {
	arch uint32
	nr   uint32
	args [6]uint64
}

// run executes a filter as the kernel does (net/core/filter.c), with the instructions that it allows to seccomp, and fails t on any other,
// on a jump out of the program, and on a program without return.
func run(t *testing.T, prog []instruction, c call) uint32 {
	t.Helper()
	var data [64]byte
	binary.LittleEndian.PutUint32(data[0:], c.nr)
	binary.LittleEndian.PutUint32(data[4:], c.arch)
	for i, a := range c.args {
		binary.LittleEndian.PutUint64(data[16+8*i:], a)
	}
	var acc uint32
	for pc := 0; pc < len(prog); pc++ {
		i := prog[pc]
		jump := func(cond bool) {
			if cond {
				pc += int(i.jt)
			} else {
				pc += int(i.jf)
			}
		}
		switch i.code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			if i.k%4 != 0 || i.k >= 64 {
				t.Fatalf("instruction %d loads from %d", pc, i.k)
			}
			acc = binary.LittleEndian.Uint32(data[i.k:])
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			acc &= i.k
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(i.k)
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			jump(acc == i.k)
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			jump(acc >= i.k)
		case unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K:
			jump(acc > i.k)
		case unix.BPF_RET | unix.BPF_K:
			return i.k
		default:
			t.Fatalf("instruction %d has the code %#x, which seccomp does not allow", pc, i.code)
		}
	}
	t.Fatal("ran off the end of the program")
	return 0
}
