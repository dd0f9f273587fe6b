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
const MaxWorks = 128

const workPrefix = "stack-init/"

// WorkName is the name (proc_pid_comm(5)) of a monitor that has ended n works before. A process that is at its first may have any other name but those of WorkOf.
func WorkName(n int) string { return workPrefix + strconv.Itoa(n) }

// SettledName is WorkName of a monitor whose container has lived for a while: its status is on record, and it will not take another work. To earlier programs it is the same work.
func SettledName(n int) string { return settledPrefix + strconv.Itoa(n) }

const settledPrefix = workPrefix + "+"

// IsSettled says whether name is a SettledName.
func IsSettled(name []byte) bool { return bytes.HasPrefix(name, []byte(settledPrefix)) }

// A monitor that goes to rest executes another program, and so does one that is woken (package dormant). The kernel names a process that does that after the last part
// of the program's path, before it can say anything itself. That is the number of a descriptor (/proc/self/fd/<n>), and so it is the number that says which work the process is at.
//
// The last of these are ours. The others are of monitors that an earlier version's daemon has started: a number means for ever what it meant once.
var executed = []executables{{first: 32, works: 16}, {first: 96, works: 64}, {first: firstFD, works: MaxWorks}}

const (
	firstFD = 224
	// FirstOtherFD is the least number above 31 of a descriptor that may be executed without saying anything of works.
	FirstOtherFD = firstFD + 2*MaxWorks
)

// executables are descriptors by which monitors execute: from first on one of each work for the program of package dormant, then one of each for the monitor's own.
type executables struct{ first, works int }

// DormantFD is the descriptor by which a monitor at its work n, 0 <= n < MaxWorks, executes the program of package dormant.
func DormantFD(n int) int { return firstFD + n }

// ProgramFD is the descriptor by which that executes the monitor's again.
func ProgramFD(n int) int { return firstFD + MaxWorks + n }

// WorkOf is n of the name of a monitor, 0 for any other name.
func WorkOf(name []byte) int {
	digits, ok := bytes.CutPrefix(name, []byte(workPrefix))
	n, err := strconv.Atoi(string(digits))
	if err != nil {
		return 0
	}
	if ok {
		return n
	}
	for _, e := range executed {
		if n >= e.first && n < e.first+2*e.works {
			return (n - e.first) % e.works
		}
	}
	return 0
}
