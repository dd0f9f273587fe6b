#include "textflag.h"

// At the start the kernel has argc, argv[], nil, environ[], nil at the stack pointer. environ[0] is PROGRAM=path, environ[1] is NAME=name. System
// calls take their number in AX, arguments in DI, SI, DX, R10, R8, R9, and leave all but AX, CX, R11.
//
//	R14  argv
//	R13  environ
//	SP   scratch: an event, or a time

#define SYSCALL_(n) \
	MOVL $n, AX \
	SYSCALL

#define nanosleep   35
#define execve      59
#define prctl       157
#define epoll_pwait 281

// func program()
TEXT ·program(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ 0(SP), CX
	LEAQ 8(SP), R14
	LEAQ 8(R14)(CX*8), R13
	SUBQ $64, SP

	// prctl(PR_SET_NAME, name)
	MOVL $15, DI
	MOVQ 8(R13), SI
	ADDQ $5, SI
	SYSCALL_(prctl)

wait:
	// epoll_pwait(Events, &event, 1, no limit, nil, 8)
	MOVL $31, DI
	MOVQ SP, SI
	MOVL $1, DX
	MOVQ $-1, R10
	XORL R8, R8
	MOVL $8, R9
	SYSCALL_(epoll_pwait)
	CMPQ AX, $-4 // EINTR: it was stopped, and goes on
	JEQ wait

execute:
	// execve(path, argv, environ)
	MOVQ 0(R13), DI
	ADDQ $8, DI
	MOVQ R14, SI
	MOVQ R13, DX
	SYSCALL_(execve)
	// There is no memory, ENOMEM or EAGAIN: again in 50 ms, nanosleep({0, 50,000,000}, nil).
	MOVQ $0, 0(SP)
	MOVQ $50000000, 8(SP)
	MOVQ SP, DI
	XORL SI, SI
	SYSCALL_(nanosleep)
	JMP execute

	BYTE $'t'; BYTE $'h'; BYTE $'e'; BYTE $' '
	BYTE $'e'; BYTE $'n'; BYTE $'d'; BYTE $' '
	BYTE $'o'; BYTE $'f'; BYTE $' '; BYTE $'d'
	BYTE $'r'; BYTE $'m'; BYTE $'t'; BYTE $'.'

// func address() unsafe.Pointer
TEXT ·address(SB), NOSPLIT, $0-8
	LEAQ ·program(SB), AX
	MOVQ AX, ret+0(FP)
	RET
