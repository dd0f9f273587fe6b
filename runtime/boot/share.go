package boot

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// A clone with a copy of its monitor's memory costs a tenth of a start: the tables of its pages, a copy of each page that the monitor writes to meanwhile, and the end of the
// copy at execve. The init of most containers has the monitor's memory itself, and a stack of its own.
//
// What both have is safe from the container: its init is alone in a pid namespace of its own, and not dumpable, until it executes, which gives it another memory; the
// change of user makes it dumpable where fs.suid_dumpable is 1, but until it is not any more it has all capabilities, which who looks into it must have too
// (ptrace(2), "Ptrace access mode checking").

// stackSize is that of the init's stack, for functions that the compiler puts no stack check into: the linker allows for 800 bytes.
const stackSize = 16 << 10

// shareMemory has the clone use this process's memory, where that is safe and can be done.
//
// Not for one that joins a pid namespace, in which there are processes already. Nor for one that may be killed for lack of memory before its execve: whoever has the
// same memory is killed too, and has the same score for that (mm/oom_kill.c, __oom_kill_process; fs/proc/base.c, __set_oom_adj).
func (how *cloneArgs) shareMemory(c *container) {
	if how.flags&unix.CLONE_NEWPID != 0 && !c.Cramped && c.spec.Process.OOMScoreAdj == nil && canShare {
		how.flags |= unix.CLONE_VM
	}
}

// giveStack gives the clone the end of memory for its stack, and returns the rest.
func (how *cloneArgs) giveStack(memory []byte) []byte {
	rest := (len(memory) - stackSize) &^ 15
	how.stack, how.stackSize = uint64(uintptr(unsafe.Pointer(&memory[rest]))), stackSize
	return memory[:rest]
}
