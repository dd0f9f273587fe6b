// Package doctor is what `stack doctor` tells: what this host can do for containers, and the fix for what it cannot. doctor/probe finds it out.
package doctor

// State of a Check.
type State string

const (
	OK      State = "ok"
	Warning State = "warning" // something will not work, or not well
	Missing State = "missing" // nothing will work
)

// Check is what was found of one thing.
type Check struct {
	Name   string `json:"name"`
	State  State  `json:"state"`
	Detail string `json:"detail,omitempty"`
	Fix    string `json:"fix,omitempty"` // what to do, unless ok
}

// Essential says whether something is missing without which nothing works.
func Essential(all []Check) bool {
	for _, c := range all {
		if c.State == Missing {
			return true
		}
	}
	return false
}
