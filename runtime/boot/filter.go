package boot

import (
	"encoding/binary"
	"runtime"

	"golang.org/x/sys/unix"
)

// auditArch are AUDIT_ARCH_* of linux/audit.h.
var auditArch = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64, "riscv64": unix.AUDIT_ARCH_RISCV64}

// allows runs a filter of system calls, as the kernel would, over the call nr with args. What it cannot run it takes for
// a refusal. It knows the instructions that compilers of such filters emit.
func allows(program []unix.SockFilter, nr uint64, args ...uint64) bool {
	// struct seccomp_data, seccomp(2).
	var data [64]byte
	binary.NativeEndian.PutUint32(data[0:], uint32(nr))
	binary.NativeEndian.PutUint32(data[4:], auditArch[runtime.GOARCH])
	for i, a := range args {
		binary.NativeEndian.PutUint64(data[16+8*i:], a)
	}
	var acc uint32
	for pc := 0; pc < len(program); pc++ { // jumps lead forward only, bpf(2)
		in := program[pc]
		jump := func(is bool) {
			if is {
				pc += int(in.Jt)
			} else {
				pc += int(in.Jf)
			}
		}
		switch in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			if in.K > uint32(len(data)-4) {
				return false
			}
			acc = binary.NativeEndian.Uint32(data[in.K:])
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			acc &= in.K
		case unix.BPF_JMP | unix.BPF_JA:
			if in.K > uint32(len(program)) {
				return false
			}
			pc += int(in.K)
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			jump(acc == in.K)
		case unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K:
			jump(acc > in.K)
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			jump(acc >= in.K)
		case unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K:
			jump(acc&in.K != 0)
		case unix.BPF_RET | unix.BPF_K:
			const allow, log = 0x7fff0000, 0x7ffc0000 // SECCOMP_RET_ALLOW, SECCOMP_RET_LOG
			action := in.K & 0xffff0000
			return action == allow || action == log
		default:
			return false
		}
	}
	return false
}
