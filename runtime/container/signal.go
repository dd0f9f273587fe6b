package container

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
)

// ParseSignal reads "SIGTERM", "TERM", "15" or "SIGRTMIN+3"; "" is SIGTERM. ErrInvalidArgument for what names no signal of 1 to 64.
func ParseSignal(s string) (unix.Signal, error) {
	if s == "" {
		return unix.SIGTERM, nil
	}
	if n, err := strconv.Atoi(s); err == nil {
		if n < 1 || n > 64 {
			return 0, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("no signal %d: want 1 to 64", n))
		}
		return unix.Signal(n), nil
	}
	name := strings.ToUpper(s)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if n := unix.SignalNum(name); n != 0 {
		return n, nil
	}
	// The range of the C library, signal(7): the kernel's 32 and 33 are its threads'.
	for base, from := range map[string]int{"SIGRTMIN": 34, "SIGRTMAX": 64} {
		if rest, ok := strings.CutPrefix(name, base); ok {
			off := 0
			if rest != "" {
				var err error
				if off, err = strconv.Atoi(rest); err != nil {
					break
				}
			}
			if n := from + off; n >= 34 && n <= 64 {
				return unix.Signal(n), nil
			}
		}
	}
	return 0, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("no signal named %q", s))
}
