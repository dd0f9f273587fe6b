package boot

import (
	"golang.org/x/sys/unix"
)

// Of https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md#posix-process.
var rlimits = map[string]int{
	"RLIMIT_AS": unix.RLIMIT_AS, "RLIMIT_CORE": unix.RLIMIT_CORE, "RLIMIT_CPU": unix.RLIMIT_CPU,
	"RLIMIT_DATA": unix.RLIMIT_DATA, "RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_LOCKS": unix.RLIMIT_LOCKS,
	"RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK, "RLIMIT_MSGQUEUE": unix.RLIMIT_MSGQUEUE, "RLIMIT_NICE": unix.RLIMIT_NICE,
	"RLIMIT_NOFILE": unix.RLIMIT_NOFILE, "RLIMIT_NPROC": unix.RLIMIT_NPROC, "RLIMIT_RSS": unix.RLIMIT_RSS,
	"RLIMIT_RTPRIO": unix.RLIMIT_RTPRIO, "RLIMIT_RTTIME": unix.RLIMIT_RTTIME,
	"RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING, "RLIMIT_STACK": unix.RLIMIT_STACK,
}

// limits runs while there is CAP_SYS_RESOURCE, which raising a hard limit takes.
func (x *execution) limits() error {
	for _, l := range x.process.Rlimits {
		n, ok := rlimits[l.Type]
		if !ok {
			return refuse("rlimit", l.Type, "there is no such limit")
		}
		limit := unix.Rlimit{Cur: l.Soft, Max: l.Hard}
		if err := unix.Prlimit(0, n, &limit, nil); err != nil {
			return fault("rlimit", "prlimit", l.Type, err)
		}
	}
	return nil
}
