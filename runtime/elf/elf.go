//go:build amd64 || arm64

package elf

import (
	"bytes"
	"encoding/binary"
	"unsafe"
)

const (
	base = 0x400000 // where it is loaded
	// align is the largest page size of these machines: arm64 has pages of 64 KiB.
	align = 0x10000

	fileHeader = 64 // bytes of struct Elf64_Ehdr, elf(5)
	segment    = 56 // bytes of struct Elf64_Phdr
	headers    = fileHeader + 2*segment
)

// Program is an executable that has code alone, and begins with its first instruction. The code may be loaded anywhere; it has no data but its stack.
func Program(code []byte) []byte {
	size := uint64(headers + len(code))
	le := binary.LittleEndian

	b := make([]byte, 0, size)
	b = append(b, 0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0) // 64 bits, little-endian, version 1, System V
	b = le.AppendUint16(b, 2)                                              // ET_EXEC
	b = le.AppendUint16(b, machine)
	b = le.AppendUint32(b, 1) // version
	b = le.AppendUint64(b, base+headers)
	b = le.AppendUint64(b, fileHeader) // segments are described from here on
	b = le.AppendUint64(b, 0)          // no sections
	b = le.AppendUint32(b, 0)          // flags
	for _, n := range []uint16{fileHeader, segment, 2, 0, 0, 0} {
		b = le.AppendUint16(b, n)
	}
	describe := func(kind, flags uint32, addr, size, align uint64) {
		b = le.AppendUint32(b, kind)
		b = le.AppendUint32(b, flags)
		for _, n := range []uint64{0, addr, addr, size, size, align} {
			b = le.AppendUint64(b, n)
		}
	}
	const load, stack, x, w, r = 1, 0x6474e551, 1, 2, 4 // PT_LOAD, PT_GNU_STACK, PF_X, PF_W, PF_R
	describe(load, r|x, base, size, align)
	// Without it kernels before 5.8 make all that is readable executable (READ_IMPLIES_EXEC).
	describe(stack, r|w, 0, 0, 16)
	return append(b, code...)
}

// Code is what is at first, the address of a function in assembler, up to end, which stands behind its last instruction.
func Code(first unsafe.Pointer, end string) []byte {
	for n := 0; ; n++ {
		b := unsafe.Slice((*byte)(first), n+len(end))
		if bytes.Equal(b[n:], []byte(end)) {
			return bytes.Clone(b[:n])
		}
	}
}
