#include "textflag.h"

// The same as dormant_amd64.s, which has the comments. System calls take their number in R8, arguments in R0 to R5, and leave all but R0.
//
//	R19  argv
//	R20  environ
//	RSP  scratch: an event, or a time

#define SYSCALL_(n) \
	MOVD $n, R8 \
	SVC $0

#define epoll_pwait 22
#define nanosleep   101
#define prctl       167
#define execve      221

// func program()
TEXT ·program(SB), NOSPLIT|NOFRAME, $0-0
	MOVD 0(RSP), R2
	ADD $8, RSP, R19
	ADD R2<<3, R19, R20
	ADD $8, R20
	SUB $64, RSP

	// prctl(PR_SET_NAME, name)
	MOVD $15, R0
	MOVD 8(R20), R1
	ADD $5, R1
	SYSCALL_(prctl)

wait:
	// epoll_pwait(Events, &event, 1, no limit, nil, 8)
	MOVD $31, R0
	MOVD RSP, R1
	MOVD $1, R2
	MOVD $-1, R3
	MOVD $0, R4
	MOVD $8, R5
	SYSCALL_(epoll_pwait)
	CMN $4, R0 // EINTR
	BEQ wait

execute:
	// execve(path, argv, environ)
	MOVD 0(R20), R0
	ADD $8, R0
	MOVD R19, R1
	MOVD R20, R2
	SYSCALL_(execve)
	// nanosleep({0, 50,000,000}, nil), by parts: a constant that is large would be loaded from behind the end
	MOVD ZR, 0(RSP)
	MOVZ $0xf080, R2
	MOVK $(0x02fa<<16), R2
	MOVD R2, 8(RSP)
	MOVD RSP, R0
	MOVD $0, R1
	SYSCALL_(nanosleep)
	B execute

	WORD $0x20656874 // "the end of drmt."
	WORD $0x20646e65
	WORD $0x6420666f
	WORD $0x2e746d72

// func address() unsafe.Pointer
TEXT ·address(SB), NOSPLIT, $0-8
	MOVD $·program(SB), R0
	MOVD R0, ret+0(FP)
	RET
