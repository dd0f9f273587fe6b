package proto

import (
	"bytes"
	"strconv"
)

// A process can be the monitor of one container after the other, so its pid and its start time do not say whose monitor it is: a record of the first
// container has them too, and whoever reads that must not take the process for one that has still to do with it. What tells the works
// of a process apart has to be asked of the process itself, for a record can be as old as it likes. It is its name, as ps(1) shows it: a monitor takes the name of
// its next work when there is nothing of the last one that it would still do, and before anybody hears that it is free.

// MaxWorks is how many containers one process makes at most.
//
// One that is at its last ends, and the next container waits for the start of another.
const MaxWorks = 64

const workPrefix = "stack-init/"

// WorkName is the name (proc_pid_comm(5)) of a monitor that has ended n works before. A process that is at its first may have any other name but those of WorkOf.
func WorkName(n int) string { return workPrefix + strconv.Itoa(n) }

// A monitor that goes to rest executes another program, and so does one that is woken (package dormant). The kernel names a process that does that after the last part
// of the program's path, before it can say anything itself. That is the number of a descriptor (/proc/self/fd/<n>), and so it is the number that says which work the process is at.
const (
	// Of monitors that an earlier version's daemon has started. It executed new ones by descriptors from 64 on.
	firstFormerFD = 32
	formerWorks   = 16
	lastFormerFD  = firstFormerFD + 2*formerWorks - 1

	firstDormantFD = 96
	firstProgramFD = firstDormantFD + MaxWorks
	// FirstOtherFD is the least number above 31 of a descriptor that may be executed without saying anything of works.
	FirstOtherFD = firstProgramFD + MaxWorks
)

// DormantFD is the descriptor by which a monitor at its work n, 0 <= n < MaxWorks, executes the program of package dormant.
func DormantFD(n int) int { return firstDormantFD + n }

// ProgramFD is the descriptor by which that executes the monitor's again.
func ProgramFD(n int) int { return firstProgramFD + n }

// WorkOf is n of the name of a monitor, 0 for any other name.
func WorkOf(name []byte) int {
	digits, ok := bytes.CutPrefix(name, []byte(workPrefix))
	n, err := strconv.Atoi(string(digits))
	switch {
	case err != nil:
		return 0
	case ok:
		return n
	case n >= firstFormerFD && n <= lastFormerFD:
		return (n - firstFormerFD) % formerWorks
	case n >= firstDormantFD && n < FirstOtherFD:
		return (n - firstDormantFD) % MaxWorks
	}
	return 0
}
