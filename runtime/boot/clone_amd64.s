#include "textflag.h"

// func cloneInside(how *cloneArgs, size uintptr, r *inside) (pid, errno uintptr)
TEXT ·cloneInside(SB), NOSPLIT, $0-40
	MOVQ how+0(FP), DI
	MOVQ size+8(FP), SI
	MOVQ r+16(FP), R12 // the kernel keeps it
	MOVQ $435, AX // clone3
	SYSCALL
	CMPQ AX, $0xfffffffffffff001
	JCC  failed
	TESTQ AX, AX
	JEQ  clone
	MOVQ AX, pid+24(FP)
	MOVQ $0, errno+32(FP)
	RET

failed:
	NEGQ AX
	MOVQ $0, pid+24(FP)
	MOVQ AX, errno+32(FP)
	RET

clone:
	SUBQ $16, SP
	MOVQ R12, 0(SP)
	CALL ·runInside(SB)
	INT  $3 // it does not return
