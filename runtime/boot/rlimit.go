package boot

import (
	"strconv"
	"strings"

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

// lessThanAsked says that got is set and not want: a process without CAP_SYS_RESOURCE cannot raise a hard limit, and nobody the number of files above
// fs.nr_open (getrlimit(2), EPERM). A service that asks for more than there is runs with less and says so.
func lessThanAsked(name string, want, got unix.Rlimit) string {
	return "ulimit " + strings.ToLower(strings.TrimPrefix(name, "RLIMIT_")) + ": asked for " + number(want.Cur) + ":" + number(want.Max) +
		" (soft:hard), this machine lets a container have " + number(got.Cur) + ":" + number(got.Max)
}

func number(limit uint64) string {
	if limit == unix.RLIM_INFINITY {
		return "unlimited"
	}
	return strconv.FormatUint(limit, 10)
}
