#include "textflag.h"

// The same as pid1_amd64.s, which has the comments. System calls take their number in R8, arguments in R0 to R5, and leave all but R0.
//
//	R19  address of argc
//	RSP  scratch: 0 a set of signals, or the packet; 8 a wait status; 64 termios; 128 a process group
//	R20  0 = there is a terminal
//	R21  the program's pid; in failed what failed: 0 clone, 1 execve
//	R22  options of wait4

#define SYSCALL_(n) \
	MOVD $n, R8 \
	SVC $0

#define prctl           167
#define rt_sigprocmask  135
#define fcntl           25
#define ioctl           29
#define clone           220
#define close           57
#define rt_sigtimedwait 137
#define kill            129
#define wait4           260
#define setpgid         154
#define getpid          172
#define execve          221
#define sendto          206
#define exit_group      94

// func program()
TEXT ·program(SB), NOSPLIT|NOFRAME, $0-0
	MOVD RSP, R19
	SUB $256, RSP

	// prctl(PR_SET_DUMPABLE, 0)
	MOVD $4, R0
	MOVD $0, R1
	SYSCALL_(prctl)
	// prctl(PR_SET_NAME, "stack-init"), by parts: a constant of 64 bits would be loaded from behind the end
	MOVZ $0x7473, R2
	MOVK $(0x6361<<16), R2
	MOVK $(0x2d6b<<32), R2
	MOVK $(0x6e69<<48), R2
	MOVD R2, 0(RSP)
	MOVZ $0x7469, R2
	MOVD R2, 8(RSP)
	MOVD $15, R0
	MOVD RSP, R1
	SYSCALL_(prctl)
	// rt_sigprocmask(SIG_SETMASK, all, nil, 8)
	MOVD $-1, R2
	MOVD R2, 0(RSP)
	MOVD $2, R0
	MOVD RSP, R1
	MOVD $0, R2
	MOVD $8, R3
	SYSCALL_(rt_sigprocmask)
	// fcntl(4, F_SETFD, FD_CLOEXEC)
	MOVD $4, R0
	MOVD $2, R1
	MOVD $1, R2
	SYSCALL_(fcntl)
	// ioctl(0, TCGETS, termios)
	MOVD $0, R0
	MOVD $0x5401, R1
	ADD $64, RSP, R2
	SYSCALL_(ioctl)
	MOVD R0, R20

	// clone(SIGCHLD, 0, nil, 0, nil)
	MOVD $17, R0
	MOVD $0, R1
	MOVD $0, R2
	MOVD $0, R3
	MOVD $0, R4
	SYSCALL_(clone)
	MOVD $0, R21
	CMP $0, R0
	BEQ child
	BLT failed
	MOVD R0, R21

	// close(4), prctl(PR_SET_DUMPABLE, 1), close(0)
	MOVD $4, R0
	SYSCALL_(close)
	MOVD $4, R0
	MOVD $1, R1
	SYSCALL_(prctl)
	MOVD $0, R0
	SYSCALL_(close)

next:
	// rt_sigtimedwait(all, nil, nil, 8)
	MOVD $-1, R2
	MOVD R2, 0(RSP)
	MOVD RSP, R0
	MOVD $0, R1
	MOVD $0, R2
	MOVD $8, R3
	SYSCALL_(rt_sigtimedwait)
	MOVD $1, R22 // WNOHANG
	CMP $17, R0  // SIGCHLD
	BEQ reap
	CMN $4, R0   // EINTR
	BEQ next
	CMP $0, R0
	BLT forbidden
	CMP $21, R0  // SIGTTIN, SIGTTOU
	BEQ next
	CMP $22, R0
	BEQ next
	// kill(program, signal)
	MOVD R0, R1
	MOVD R21, R0
	SYSCALL_(kill)
	B next

forbidden:
	MOVD $0, R22

reap:
	// wait4(-1, &status, options, nil)
	MOVD $-1, R0
	ADD $8, RSP, R1
	MOVD R22, R2
	MOVD $0, R3
	SYSCALL_(wait4)
	CMN $4, R0
	BEQ reap
	CMP $0, R0
	BLE next
	CMP R21, R0
	BNE reap
	// exit_group(status)
	MOVWU 8(RSP), R1
	AND $127, R1, R0
	CBZ R0, exited
	ADD $128, R0
	B exit

exited:
	LSR $8, R1, R0
	AND $255, R0, R0

exit:
	SYSCALL_(exit_group)

child:
	// setpgid(0, 0), ioctl(0, TIOCSPGRP, &getpid())
	MOVD $0, R0
	MOVD $0, R1
	SYSCALL_(setpgid)
	CBNZ R20, signals
	SYSCALL_(getpid)
	MOVW R0, 128(RSP)
	MOVD $0, R0
	MOVD $0x5410, R1
	ADD $128, RSP, R2
	SYSCALL_(ioctl)

signals:
	// rt_sigprocmask(SIG_SETMASK, none, nil, 8)
	MOVD ZR, 0(RSP)
	MOVD $2, R0
	MOVD RSP, R1
	MOVD $0, R2
	MOVD $8, R3
	SYSCALL_(rt_sigprocmask)
	// execve(argv[1], &argv[2], environ)
	MOVD 16(R19), R0
	ADD $24, R19, R1
	MOVD 0(R19), R2
	ADD R2<<3, R19, R2
	ADD $16, R2
	SYSCALL_(execve)
	MOVD $1, R21

failed:
	// sendto(4, proto.Step{Type: StepInit, Note: what failed and its errno}, 48, MSG_NOSIGNAL, nil, 0)
	NEG R0, R0
	MOVD R0, 40(RSP)
	MOVD R21, 32(RSP)
	MOVD $16, R2
	MOVD R2, 24(RSP)
	MOVD ZR, 16(RSP)
	MOVZ $0x6970, R2 // "pid1-err"
	MOVK $(0x3164<<16), R2
	MOVK $(0x652d<<32), R2
	MOVK $(0x7272<<48), R2
	MOVD R2, 8(RSP)
	MOVD $8, R2
	MOVD R2, 0(RSP)
	MOVD $4, R0
	MOVD RSP, R1
	MOVD $48, R2
	MOVD $0x4000, R3
	MOVD $0, R4
	MOVD $0, R5
	SYSCALL_(sendto)
	MOVD $127, R0
	B exit

	WORD $0x20656874 // "the end of pid1."
	WORD $0x20646e65
	WORD $0x7020666f
	WORD $0x2e316469

// func address() unsafe.Pointer
TEXT ·address(SB), NOSPLIT, $0-8
	MOVD $·program(SB), R0
	MOVD R0, ret+0(FP)
	RET
