// Package doctor finds out what this host can do for containers, by trying it where that changes nothing:
// system calls on nothing, links and tables in a network namespace of its own.
package doctor

import (
	"fmt"

	"github.com/stackrun/stack/internal/roots"
)

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

// Run does all checks, in the order in which they matter.
func Run(r roots.Roots) []Check {
	var all []Check
	for _, probe := range []func() []Check{
		one(checkRoot), one(checkKernel), one(checkNamespaces), one(checkMountAPI), one(checkOverlay), one(checkOpenat2),
		one(checkPidfd), one(checkSeccomp), checkCgroups, checkNetwork, one(checkForwarding), one(checkFirewall),
		func() []Check {
			return []Check{checkRootDir("state root", r.State, true), checkRootDir("run root", r.Run, false)}
		},
		one(checkInotify),
	} {
		all = append(all, probe()...)
	}
	return all
}

func one(check func() Check) func() []Check { return func() []Check { return []Check{check()} } }

// Essential says whether something is missing without which nothing works.
func Essential(all []Check) bool {
	for _, c := range all {
		if c.State == Missing {
			return true
		}
	}
	return false
}

func ok(name, format string, args ...any) Check {
	return Check{Name: name, State: OK, Detail: fmt.Sprintf(format, args...)}
}

func warning(name, fix, format string, args ...any) Check {
	return Check{Name: name, State: Warning, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

func missing(name, fix, format string, args ...any) Check {
	return Check{Name: name, State: Missing, Detail: fmt.Sprintf(format, args...), Fix: fix}
}
