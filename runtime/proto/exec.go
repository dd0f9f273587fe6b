package proto

import (
	"encoding/binary"
	"syscall"
)

// Exit codes that users of docker know.
const (
	ExitPlatform      = 125
	ExitNotExecutable = 126
	ExitNotFound      = 127
)

// ExecFailure is an execve of path that failed.
func ExecFailure(path string, errno syscall.Errno) *Failure {
	f := &Failure{Stage: "exec", Syscall: "execve", Path: path, Errno: errno, ExitCode: ExitNotExecutable}
	switch errno {
	case syscall.ENOENT:
		f.ExitCode = ExitNotFound
		f.Detail = "the file is there, but the interpreter or loader that it names is not"
	case syscall.ENOEXEC:
		f.Detail = "the file is no program for this machine, and has no #! line"
	}
	return f
}

// Of the Note of StepInit, which package pid1 writes: two integers of 8 bytes, what failed and its errno.
const (
	initClone  = 0
	initExecve = 1
)

// InitFailure reads a StepInit. path is the program's.
func (s *Step) InitFailure(path string) *Failure {
	if len(s.Note) != 16 {
		return &Failure{Stage: "init", Detail: errShort.Error(), ExitCode: ExitPlatform}
	}
	what := binary.NativeEndian.Uint64([]byte(s.Note[:8]))
	errno := syscall.Errno(binary.NativeEndian.Uint64([]byte(s.Note[8:])))
	if what == initExecve {
		return ExecFailure(path, errno)
	}
	f := &Failure{Stage: "init", Syscall: "clone", Errno: errno, ExitCode: ExitPlatform}
	if what == initClone && errno == syscall.EAGAIN {
		f.Detail = "init: true takes a process beside the container's own: is pids_limit below 2?"
	}
	return f
}
