package proto

import (
	"bytes"
	"strconv"
)

// A process can be the monitor of one container after the other, so its pid and its start time do not say whose monitor it is: a record of the first
// container has them too, and whoever reads that must not take the process for one that has still to do with it. What tells the works
// of a process apart has to be asked of the process itself, for a record can be as old as it likes. It is its name, as ps(1) shows it: a monitor takes the name of
// its next work when there is nothing of the last one that it would still do, and before anybody hears that it is free.

const workPrefix = "stack-init/"

// WorkName is the name (proc_pid_comm(5)) of a monitor that has ended n works before, n > 0. A process that is at its first has any other name.
func WorkName(n int) string { return workPrefix + strconv.Itoa(n) }

// WorkOf is n of the name of a monitor, 0 for any other name.
func WorkOf(name []byte) int {
	digits, ok := bytes.CutPrefix(name, []byte(workPrefix))
	n, err := strconv.Atoi(string(digits))
	if !ok || err != nil {
		return 0
	}
	return n
}
