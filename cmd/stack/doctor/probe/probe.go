// Package probe finds out what this host can do for containers, by trying it where that changes nothing:
// system calls on nothing, links and tables in a network namespace of its own.
package probe

import (
	"fmt"

	"github.com/stackrun/stack/cmd/stack/doctor"
	"github.com/stackrun/stack/internal/roots"
)

// Run does all checks, in the order in which they matter.
func Run(r roots.Roots) []doctor.Check {
	var all []doctor.Check
	for _, probe := range []func() []doctor.Check{
		one(checkRoot), one(checkKernel), one(checkNamespaces), one(checkMountAPI), one(checkOverlay), one(checkOpenat2),
		one(checkPidfd), one(checkSeccomp), checkCgroups, checkNetwork, one(checkForwarding), one(checkFirewall),
		func() []doctor.Check {
			return []doctor.Check{checkRootDir("state root", r.State, true), checkRootDir("run root", r.Run, false)}
		},
		one(checkOpenFiles), one(checkInotify),
	} {
		all = append(all, probe()...)
	}
	return all
}

func one(check func() doctor.Check) func() []doctor.Check {
	return func() []doctor.Check { return []doctor.Check{check()} }
}

func ok(name, format string, args ...any) doctor.Check {
	return doctor.Check{Name: name, State: doctor.OK, Detail: fmt.Sprintf(format, args...)}
}

func warning(name, fix, format string, args ...any) doctor.Check {
	return doctor.Check{Name: name, State: doctor.Warning, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

func missing(name, fix, format string, args ...any) doctor.Check {
	return doctor.Check{Name: name, State: doctor.Missing, Detail: fmt.Sprintf(format, args...), Fix: fix}
}
