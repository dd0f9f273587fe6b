//go:build amd64 || arm64

package dormant

import (
	"unsafe"

	"github.com/stackrun/stack/runtime/elf"
)

// program is the code. It is never called here: Program copies it.
func program()

// address is that of program itself; a func value would be that of a wrapper for Go's calling convention.
func address() unsafe.Pointer

// end stands behind the last instruction.
const end = "the end of drmt."

// Program is the ELF file.
func Program() []byte { return elf.Program(elf.Code(address(), end)) }
