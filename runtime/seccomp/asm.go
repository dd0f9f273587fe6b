package seccomp

import "golang.org/x/sys/unix"

// instruction is struct sock_filter.
type instruction struct {
	code   uint16
	jt, jf uint8
	k      uint32
}

// label names an instruction by its distance from the end of the program.
type label int

// assembler builds a program from its end: classic BPF jumps only forward, so whoever is jumped to
// exists already and every offset is known.
type assembler struct {
	reversed []instruction
	returns  map[uint32]label
}

func (a *assembler) emit(i instruction) label {
	a.reversed = append(a.reversed, i)
	return label(len(a.reversed) - 1)
}

// far is as far as a conditional jump goes.
const far = 255

// reach is to, or an instruction close to here that leads to it. slack is how many instructions come yet before the
// one that jumps.
func (a *assembler) reach(to label, slack int) label {
	offset := len(a.reversed) + slack - int(to) - 1
	if offset <= far {
		return to
	}
	if i := a.reversed[to]; i.code == unix.BPF_RET|unix.BPF_K {
		return a.emit(i) // as short as a jump to it
	}
	return a.emit(instruction{code: unix.BPF_JMP | unix.BPF_JA, k: uint32(len(a.reversed) - int(to) - 1)})
}

// branch compares the accumulator with k and goes to yes or no.
func (a *assembler) branch(op uint16, k uint32, yes, no label) label {
	if yes == no {
		return yes
	}
	// Each of the two may need an instruction of its own, which puts this one farther away.
	yes = a.reach(yes, 2)
	no = a.reach(no, 1)
	here := len(a.reversed)
	return a.emit(instruction{
		code: unix.BPF_JMP | op | unix.BPF_K, k: k,
		jt: uint8(here - int(yes) - 1), jf: uint8(here - int(no) - 1),
	})
}

// next makes sure that the instruction emitted next falls through to to.
func (a *assembler) next(to label) {
	if int(to) != len(a.reversed)-1 {
		a.emit(instruction{code: unix.BPF_JMP | unix.BPF_JA, k: uint32(len(a.reversed) - int(to) - 1)})
	}
}

// load reads the word at offset of struct seccomp_data, then goes on at to.
func (a *assembler) load(offset uint32, to label) label {
	a.next(to)
	return a.emit(instruction{code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, k: offset})
}

// and masks the accumulator, then goes on at to.
func (a *assembler) and(mask uint32, to label) label {
	a.next(to)
	return a.emit(instruction{code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, k: mask})
}

// ret ends the filter with value. One per value, as long as it is near.
func (a *assembler) ret(value uint32) label {
	if l, ok := a.returns[value]; ok && len(a.reversed)-int(l) < far/2 {
		return l
	}
	l := a.emit(instruction{code: unix.BPF_RET | unix.BPF_K, k: value})
	if a.returns == nil {
		a.returns = map[uint32]label{}
	}
	a.returns[value] = l
	return l
}

// program is what was built, entered at entry.
func (a *assembler) program(entry label) []instruction {
	a.next(entry)
	out := make([]instruction, len(a.reversed))
	for i, x := range a.reversed {
		out[len(out)-1-i] = x
	}
	return out
}
