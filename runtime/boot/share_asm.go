//go:build amd64 || arm64

package boot

// canShare says whether cloneInside can give a clone a stack of its own.
const canShare = true

// cloneInside is clone3(2) with how, of size bytes, and runInside(r) in the clone, on the stack of how.
//
//go:noescape
func cloneInside(how *cloneArgs, size uintptr, r *inside) (pid, errno uintptr)
