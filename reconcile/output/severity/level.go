// Package severity says how bad it is what a line of a program's log tells. Programs say it in many ways, and this knows those that are
// common; [Of] lists them.
package severity

import (
	"fmt"
	"strings"
)

// Level is how bad it is, greater is worse. The zero Level is none.
type Level int

const (
	None Level = iota
	Trace
	Debug
	Info
	Warn
	Error
	Fatal
)

// Names of the levels that a user may ask for, in order.
var Names = []string{"trace", "debug", "info", "warn", "error", "fatal"}

// named is the level of that name in lower case, as programs call theirs; None when it is none. Where a scale has more steps than this one
// (syslog, RFC 5424 §6.2.1; nginx; PostgreSQL), notice is info, and what is worse than an error is fatal.
func named(word string) Level {
	switch word {
	case "trace", "trc", "silly", "finest", "finer":
		return Trace
	case "debug", "dbg", "verbose", "fine", "debug1", "debug2", "debug3", "debug4", "debug5":
		return Debug
	case "info", "inf", "information", "informational", "notice", "note", "log", "system", "config":
		return Info
	case "warn", "wrn", "warning":
		return Warn
	case "error", "err", "severe":
		return Error
	case "fatal", "ftl", "critical", "crit", "panic", "dpanic", "alert", "emerg", "emergency":
		return Fatal
	}
	return None
}

// lettered is the level of which that is the first letter; None when it is of none.
func lettered(c byte) Level {
	switch c {
	case 'T':
		return Trace
	case 'D':
		return Debug
	case 'I', 'N':
		return Info
	case 'W':
		return Warn
	case 'E':
		return Error
	case 'F', 'A':
		return Fatal
	}
	return None
}

// Parse is the level of that name, in any case; "" is None.
func Parse(name string) (Level, error) {
	if name == "" {
		return None, nil
	}
	if l := named(strings.ToLower(name)); l != None {
		return l, nil
	}
	return None, fmt.Errorf("invalid level %q, expected %s or %s", name, strings.Join(Names[:len(Names)-1], ", "), Names[len(Names)-1])
}
