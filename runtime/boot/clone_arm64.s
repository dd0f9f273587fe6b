#include "textflag.h"

// func cloneInside(how *cloneArgs, size uintptr, r *inside) (pid, errno uintptr)
TEXT ·cloneInside(SB), NOSPLIT, $0-40
	MOVD how+0(FP), R0
	MOVD size+8(FP), R1
	MOVD r+16(FP), R12 // the kernel keeps it
	MOVD $435, R8 // clone3
	SVC
	CMN  $4095, R0
	BCC  made
	NEG  R0, R0
	MOVD ZR, pid+24(FP)
	MOVD R0, errno+32(FP)
	RET

made:
	CBZ  R0, clone
	MOVD R0, pid+24(FP)
	MOVD ZR, errno+32(FP)
	RET

clone:
	SUB  $32, RSP
	MOVD R12, 8(RSP)
	CALL ·runInside(SB)
	BRK // it does not return
