package rtnl

import (
	"errors"

	"github.com/vishvananda/netlink"
)

// dumpTries bounds how often a list is read again. A list of n links takes some n microseconds, and each change of a
// link spoils one reading: hundreds of changes at once are bridged by far.
const dumpTries = 200

// dump reads a list of the kernel, and reads it again when it changed in the meantime (NLM_F_DUMP_INTR, netlink(7)): what was
// read then may miss an object that was there all the time.
func dump[T any](read func() ([]T, error)) ([]T, error) {
	for try := 1; ; try++ {
		list, err := read()
		if !errors.Is(err, netlink.ErrDumpInterrupted) || try == dumpTries {
			return list, err
		}
	}
}
