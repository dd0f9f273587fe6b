package plan

import "strings"

// SetOptions sets what list says, the last part of a mount as a command line has it: words with commas between them, as of docker run(1), --volume.
// unknown is the first that means nothing, "" when each means something. Words for SELinux, which is not there, and for how a virtual machine shares
// files, are known and change nothing.
func (m *Mount) SetOptions(list string) (unknown string) {
	for word := range strings.SplitSeq(list, ",") {
		switch word {
		case "ro":
			m.ReadOnly = true
		case "nocopy":
			m.NoCopy = true
		case "private", "rprivate", "shared", "rshared", "slave", "rslave":
			m.Propagation = word
		case "", "rw", "z", "Z", "consistent", "cached", "delegated", "default":
		default:
			return word
		}
	}
	return ""
}
