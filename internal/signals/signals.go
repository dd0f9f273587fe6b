// Package signals reads the names of signals that users write.
package signals

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
)

// The range that the C library gives to programs, signal(7): the kernel's 32 and 33 are its threads'.
const (
	firstRealTime = 34
	last          = 64
)

// Parse reads SIGTERM, TERM, term, 15, SIGRTMIN+3 or SIGRTMAX-1. The error is errdefs.ErrInvalidArgument.
func Parse(s string) (unix.Signal, error) {
	wrong := errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("there is no signal %q: expected a name such as SIGTERM or SIGRTMIN+3, or a number from 1 to %d", s, last))
	if n, err := strconv.ParseUint(s, 10, 16); err == nil {
		if n < 1 || n > last {
			return 0, wrong
		}
		return unix.Signal(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if sig := unix.SignalNum("SIG" + name); sig != 0 {
		return sig, nil
	}
	for base, from := range map[string]int{"RTMIN": firstRealTime, "RTMAX": last} {
		rest, ok := strings.CutPrefix(name, base)
		if !ok {
			continue
		}
		offset := 0
		if rest != "" {
			var err error
			if offset, err = strconv.Atoi(rest); err != nil || rest[0] != '+' && rest[0] != '-' {
				return 0, wrong
			}
		}
		if n := from + offset; n >= firstRealTime && n <= last {
			return unix.Signal(n), nil
		}
	}
	return 0, wrong
}
