package spec

import (
	"fmt"
	"slices"

	"github.com/stackrun/stack/internal/errdefs"
)

// checkSharedPids refuses to start a service in a pid namespace in which another one may look into every process. The runtime prepares
// a container inside the namespace that it joins, with the host's root directory and power: procfs can be mounted from
// there only. CAP_SYS_PTRACE is the one thing that it cannot protect itself against. A service that has it and joins by itself, as
// debuggers do, harms nobody: those that are there were started before.
func (d *decoder) checkSharedPids(s *draft) {
	if tracer, home := tracerBeside(d.project, &s.Service); tracer != "" {
		d.refuse(CodeConflict, s.child("pid"), tracedText(s.Name, home, tracer),
			fmt.Sprintf("take SYS_PTRACE (or privileged) from %q, or give it to a service that alone joins the others", tracer))
	}
}

// CheckSharedPIDs is what the loader refuses of shared pid namespaces, for a project that may have come from somebody who did not load it.
// The error is ErrInvalidArgument.
func CheckSharedPIDs(p *Project) error {
	for _, name := range sortedKeys(p.Services) {
		if tracer, home := tracerBeside(p, p.Services[name]); tracer != "" {
			return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot use the project: %s", tracedText(name, home, tracer)))
		}
	}
	return nil
}

func tracedText(name, home, tracer string) string {
	return fmt.Sprintf("service %q starts in the process ID namespace of service %q, in which %q has SYS_PTRACE and could take over what starts there", name, home, tracer)
}

// tracerBeside finds a service with SYS_PTRACE in the pid namespace home that s joins, "" = there is none, or s joins none.
func tracerBeside(p *Project, s *Service) (tracer, home string) {
	if p.Services[p.Joined(s.PID)] == nil { // whoever starts it knows the containers of others
		return "", ""
	}
	home = pidsOf(p, s)
	for _, name := range sortedKeys(p.Services) {
		other := p.Services[name]
		if name == s.Name && other.Replicas < 2 || pidsOf(p, other) != home || !traces(other) {
			continue
		}
		return name, home
	}
	return "", home
}

// pidsOf names the service whose pid namespace s lives in.
func pidsOf(p *Project, s *Service) string {
	for range p.Services { // a cycle is refused elsewhere
		next := p.Services[p.Joined(s.PID)]
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
