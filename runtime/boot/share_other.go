//go:build !amd64 && !arm64

package boot

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const canShare = false

// cloneInside is clone3(2) with how, of size bytes, and runInside(r) in the clone, which has a copy of this stack.
//
//go:nosplit
//go:norace
func cloneInside(how *cloneArgs, size uintptr, r *inside) (pid, errno uintptr) {
	how.stack, how.stackSize = 0, 0
	pid, _, e := syscall.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(how)), size, 0)
	if e == 0 && pid == 0 {
		runInside(r)
	}
	return pid, uintptr(e)
}
