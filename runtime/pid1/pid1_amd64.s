#include "textflag.h"

// What it does, and why in this order, is told in docs/adr/0044-tiny-init.md.
//
// At the start the kernel has argc, argv[], nil, environ[], nil at the stack pointer. argv is: any name, the program's path, the
// program's own argv. System calls take their number in AX, arguments in DI, SI, DX, R10, R8, R9, and leave all but AX, CX, R11.
//
//	R14   argc
//	SP   scratch: 0 a set of signals, or the packet; 8 a wait status; 64 termios; 128 a process group
//	BX   0 = there is a terminal
//	R12  the program's pid; in failed what failed: 0 clone, 1 execve
//	R13  options of wait4

#define SYSCALL_(n) \
	MOVL $n, AX \
	SYSCALL

#define prctl           157
#define rt_sigprocmask  14
#define fcntl           72
#define ioctl           16
#define clone           56
#define close           3
#define rt_sigtimedwait 128
#define kill            62
#define wait4           61
#define setpgid         109
#define getpid          39
#define execve          59
#define sendto          44
#define exit_group      231

// func program()
TEXT ·program(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ SP, R14
	SUBQ $256, SP

	// Nobody is to take the monitor's socket from us: prctl(PR_SET_DUMPABLE, 0).
	MOVL $4, DI
	XORL SI, SI
	SYSCALL_(prctl)
	// The name that ps shows: prctl(PR_SET_NAME, "stack-init").
	MOVQ $0x6e692d6b63617473, AX
	MOVQ AX, 0(SP)
	MOVQ $0x7469, AX
	MOVQ AX, 8(SP)
	MOVL $15, DI
	MOVQ SP, SI
	SYSCALL_(prctl)
	// No signal is lost, and none ends us: rt_sigprocmask(SIG_SETMASK, all, nil, 8).
	MOVQ $-1, AX
	MOVQ AX, 0(SP)
	MOVL $2, DI
	MOVQ SP, SI
	XORL DX, DX
	MOVL $8, R10
	SYSCALL_(rt_sigprocmask)
	// Its end at execve is how the monitor learns of success: fcntl(4, F_SETFD, FD_CLOEXEC).
	MOVL $4, DI
	MOVL $2, SI
	MOVL $1, DX
	SYSCALL_(fcntl)
	// Is stdin a terminal? ioctl(0, TCGETS, termios)
	XORL DI, DI
	MOVL $0x5401, SI
	LEAQ 64(SP), DX
	SYSCALL_(ioctl)
	MOVQ AX, BX

	// clone(SIGCHLD, 0, nil, nil, 0)
	MOVL $17, DI
	XORL SI, SI
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	SYSCALL_(clone)
	XORL R12, R12
	TESTQ AX, AX
	JEQ child
	JLT failed
	MOVQ AX, R12

	// Without the socket there is nothing of ours to protect. Root of the container may look into its PID 1 again, and
	// write to /proc/1/fd/1, which many images do: close(4), prctl(PR_SET_DUMPABLE, 1).
	MOVL $4, DI
	SYSCALL_(close)
	MOVL $4, DI
	MOVL $1, SI
	SYSCALL_(prctl)
	// The reader of stdin is the program alone: close(0).
	XORL DI, DI
	SYSCALL_(close)

next:
	// rt_sigtimedwait(all, nil, nil, 8)
	MOVQ $-1, AX
	MOVQ AX, 0(SP)
	MOVQ SP, DI
	XORL SI, SI
	XORL DX, DX
	MOVL $8, R10
	SYSCALL_(rt_sigtimedwait)
	MOVL $1, R13 // WNOHANG
	CMPQ AX, $17 // SIGCHLD
	JEQ reap
	CMPQ AX, $-4 // EINTR: we were stopped, and go on
	JEQ next
	TESTQ AX, AX
	JLT forbidden
	CMPQ AX, $21 // SIGTTIN, SIGTTOU: for us, who are not in the terminal's foreground
	JEQ next
	CMPQ AX, $22
	JEQ next
	// kill(program, signal)
	MOVQ R12, DI
	MOVQ AX, SI
	SYSCALL_(kill)
	JMP next

forbidden: // by a filter of the user's: reap, and forward nothing
	XORL R13, R13

reap:
	// wait4(-1, &status, options, nil)
	MOVQ $-1, DI
	LEAQ 8(SP), SI
	MOVQ R13, DX
	XORL R10, R10
	SYSCALL_(wait4)
	CMPQ AX, $-4
	JEQ reap
	TESTQ AX, AX
	JLE next
	CMPQ AX, R12
	JNE reap
	// The program has ended. Whoever else is left goes with us: exit_group(status as a shell has it).
	MOVL 8(SP), AX
	MOVL AX, DI
	ANDL $127, DI
	JEQ exited
	ADDL $128, DI
	JMP exit

exited:
	MOVL AX, DI
	SHRL $8, DI
	ANDL $255, DI

exit:
	SYSCALL_(exit_group)

child:
	// Its own process group, in the foreground of the terminal: setpgid(0, 0), ioctl(0, TIOCSPGRP, &getpid()).
	XORL DI, DI
	XORL SI, SI
	SYSCALL_(setpgid)
	TESTQ BX, BX
	JNE signals
	SYSCALL_(getpid)
	MOVL AX, 128(SP)
	XORL DI, DI
	MOVL $0x5410, SI
	LEAQ 128(SP), DX
	SYSCALL_(ioctl)

signals:
	// rt_sigprocmask(SIG_SETMASK, none, nil, 8)
	XORL AX, AX
	MOVQ AX, 0(SP)
	MOVL $2, DI
	MOVQ SP, SI
	XORL DX, DX
	MOVL $8, R10
	SYSCALL_(rt_sigprocmask)
	// execve(argv[1], &argv[2], environ)
	MOVQ 16(R14), DI
	LEAQ 24(R14), SI
	MOVQ 0(R14), DX
	LEAQ 16(R14)(DX*8), DX
	SYSCALL_(execve)
	MOVL $1, R12

failed:
	// sendto(4, proto.Step{Type: StepInit, Note: what failed and its errno}, 48, MSG_NOSIGNAL, nil, 0)
	NEGQ AX
	MOVQ AX, 40(SP)
	MOVQ R12, 32(SP)
	MOVL $16, AX
	MOVQ AX, 24(SP)
	XORL AX, AX
	MOVQ AX, 16(SP)
	MOVQ $0x7272652d31646970, AX // "pid1-err"
	MOVQ AX, 8(SP)
	MOVL $8, AX
	MOVQ AX, 0(SP)
	MOVL $4, DI
	MOVQ SP, SI
	MOVL $48, DX
	MOVL $0x4000, R10
	XORL R8, R8
	XORL R9, R9
	SYSCALL_(sendto)
	MOVL $127, DI
	JMP exit

	BYTE $'t'; BYTE $'h'; BYTE $'e'; BYTE $' '
	BYTE $'e'; BYTE $'n'; BYTE $'d'; BYTE $' '
	BYTE $'o'; BYTE $'f'; BYTE $' '; BYTE $'p'
	BYTE $'i'; BYTE $'d'; BYTE $'1'; BYTE $'.'

// func address() unsafe.Pointer
TEXT ·address(SB), NOSPLIT, $0-8
	LEAQ ·program(SB), AX
	MOVQ AX, ret+0(FP)
	RET
