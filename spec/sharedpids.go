package spec

import (
	"fmt"
	"slices"
)

// checkSharedPids refuses to start a service in a pid namespace in which another one may look into every process. The runtime prepares
// a container inside the namespace that it joins, with the host's root directory and power: procfs can be mounted from
// there only. CAP_SYS_PTRACE is the one thing that it cannot protect itself against. A service that has it and joins by itself, as
// debuggers do, harms nobody: those that are there were started before.
func (d *decoder) checkSharedPids(s *draft) {
	if needsOf(s.PID) == "" {
		return
	}
	home := d.pidsOf(&s.Service)
	for _, name := range sortedKeys(d.project.Services) {
		other := d.project.Services[name]
		if name == s.Name && other.Replicas < 2 || d.pidsOf(other) != home || !traces(other) {
			continue
		}
		d.refuse(CodeConflict, s.child("pid"),
			fmt.Sprintf("service %q starts in the process ID namespace of service %q, in which %q has SYS_PTRACE and could take over what starts there", s.Name, home, name),
			fmt.Sprintf("take SYS_PTRACE (or privileged) from %q, or give it to a service that alone joins the others", name))
		return
	}
}

// pidsOf names the service whose pid namespace s lives in.
func (d *decoder) pidsOf(s *Service) string {
	for range d.project.Services { // a cycle is refused elsewhere
		next := d.project.Services[needsOf(s.PID)]
		if next == nil {
			break
		}
		s = next
	}
	return s.Name
}

// traces says whether s has CAP_SYS_PTRACE, which is not of the default set.
func traces(s *Service) bool {
	switch {
	case s.Privileged, slices.Contains(s.CapAdd, "SYS_PTRACE"):
		return true
	}
	return slices.Contains(s.CapAdd, "ALL") && !slices.Contains(s.CapDrop, "SYS_PTRACE")
}
