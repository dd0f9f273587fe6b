package cgroup

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The device controller of cgroup2 is a BPF program of type CGROUP_DEVICE that says yes or no
// (cgroup-v2.rst, "Device controller"). It reads struct bpf_cgroup_dev_ctx { u32 access_type, major, minor },
// access_type being access<<16 | type.

// insn is struct bpf_insn.
type insn struct {
	op   uint8
	regs uint8 // src<<4 | dst
	off  int16
	imm  int32
}

const (
	r0 = iota
	r1 // the context at entry
	r2 // type
	r3 // access
	r4 // major
	r5 // minor
	r6 // scratch
)

const (
	devBlock = 1 // BPF_DEVCG_DEV_BLOCK
	devChar  = 2 // BPF_DEVCG_DEV_CHAR
)

func load32(dst, src uint8, off int16) insn {
	return insn{op: unix.BPF_LDX | unix.BPF_W | unix.BPF_MEM, regs: src<<4 | dst, off: off}
}
func movImm(dst uint8, v int32) insn {
	return insn{op: unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_K, regs: dst, imm: v}
}
func movReg(dst, src uint8) insn {
	return insn{op: unix.BPF_ALU | unix.BPF_MOV | unix.BPF_X, regs: src<<4 | dst}
}
func andImm(dst uint8, v int32) insn {
	return insn{op: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, regs: dst, imm: v}
}
func shiftRight(dst uint8, v int32) insn {
	return insn{op: unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K, regs: dst, imm: v}
}

// jump insns get their offset when the rule's length is known.
func jumpNeImm(dst uint8, v int32) insn {
	return insn{op: unix.BPF_JMP | unix.BPF_JNE | unix.BPF_K, regs: dst, imm: v}
}
func jumpNeReg(dst, src uint8) insn {
	return insn{op: unix.BPF_JMP | unix.BPF_JNE | unix.BPF_X, regs: src<<4 | dst}
}
func jumpEqImm(dst uint8, v int32) insn {
	return insn{op: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, regs: dst, imm: v}
}
func exit() insn { return insn{op: unix.BPF_JMP | unix.BPF_EXIT} }

// program asks each exception in turn; the first that fits answers, else the default.
func (s deviceSet) program() []insn {
	p := []insn{
		load32(r2, r1, 0), andImm(r2, 0xffff),
		load32(r3, r1, 0), shiftRight(r3, 16),
		load32(r4, r1, 4),
		load32(r5, r1, 8),
	}
	answer := func(yes bool) []insn {
		if yes {
			return []insn{movImm(r0, 1), exit()}
		}
		return []insn{movImm(r0, 0), exit()}
	}
	for _, e := range s.exceptions {
		var rule []insn
		kind := int32(devChar)
		if e.kind == 'b' {
			kind = devBlock
		}
		rule = append(rule, jumpNeImm(r2, kind))
		if e.access != accessAll {
			rule = append(rule, movReg(r6, r3), andImm(r6, int32(e.access)))
			if s.allow { // any forbidden bit forbids
				rule = append(rule, jumpEqImm(r6, 0))
			} else { // all bits must be allowed
				rule = append(rule, jumpNeReg(r6, r3))
			}
		}
		if e.major != every {
			rule = append(rule, jumpNeImm(r4, int32(e.major)))
		}
		if e.minor != every {
			rule = append(rule, jumpNeImm(r5, int32(e.minor)))
		}
		rule = append(rule, answer(!s.allow)...)
		for i := range rule {
			if c := rule[i].op & 0xf0; rule[i].op&0x07 == unix.BPF_JMP && (c == unix.BPF_JNE || c == unix.BPF_JEQ) {
				rule[i].off = int16(len(rule) - i - 1)
			}
		}
		p = append(p, rule...)
	}
	return append(p, answer(s.allow)...)
}

// attach loads the program and binds it to the cgroup2 directory dir, for as long as that exists.
// BPF_F_ALLOW_MULTI: what is attached above still has its say.
func (s deviceSet) attach(dir string) ([]string, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot set device rules in %s: %w", dir, err)
	}
	defer unix.Close(fd)
	code := encode(s.program())
	license := []byte("Apache-2.0\x00")
	// union bpf_attr, the part for BPF_PROG_LOAD: 4.15 knows the type, and all of these fields.
	load := struct {
		progType, count uint32
		insns, license  uint64
		logLevel, size  uint32
		log             uint64
		version, flags  uint32
	}{progType: unix.BPF_PROG_TYPE_CGROUP_DEVICE, count: uint32(len(code) / 8),
		insns: uint64(uintptr(unsafe.Pointer(&code[0]))), license: uint64(uintptr(unsafe.Pointer(&license[0])))}
	prog, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&load)), unsafe.Sizeof(load))
	// The verifier gives up with EAGAIN when a signal is pending (bpf_check, do_check_common), and Go's scheduler sends
	// SIGURG to threads that are long at work: the more containers start at once, the likelier.
	for try := 1; errno == unix.EAGAIN && try < loadTries; try++ {
		prog, _, errno = unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&load)), unsafe.Sizeof(load))
	}
	runtime.KeepAlive(code)
	runtime.KeepAlive(license)
	if errno != 0 {
		if errno == unix.ENOSYS || errno == unix.EINVAL {
			return []string{"device rules: this kernel cannot filter devices on cgroup v2 (CONFIG_CGROUP_BPF)"}, nil
		}
		return nil, fmt.Errorf("cannot load the device filter: bpf: %w", errno)
	}
	defer unix.Close(int(prog))
	bind := struct{ target, prog, kind, flags uint32 }{uint32(fd), uint32(prog), unix.BPF_CGROUP_DEVICE, unix.BPF_F_ALLOW_MULTI}
	if _, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_ATTACH, uintptr(unsafe.Pointer(&bind)), unsafe.Sizeof(bind)); errno != 0 {
		return nil, fmt.Errorf("cannot attach the device filter to %s: bpf: %w", dir, errno)
	}
	return nil, nil
}

// loadTries bounds how often a program is loaded again. A try takes some microseconds, signals of the scheduler come every
// ten milliseconds.
const loadTries = 100

func encode(p []insn) []byte {
	out := make([]byte, 0, 8*len(p))
	for _, i := range p {
		out = append(out, i.op, i.regs)
		out = binary.NativeEndian.AppendUint16(out, uint16(i.off))
		out = binary.NativeEndian.AppendUint32(out, uint32(i.imm))
	}
	return out
}
