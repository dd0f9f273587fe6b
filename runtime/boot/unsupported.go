package boot

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// unsupported refuses by name what the spec asks for and boot does not do. What is silently ignored would be
// believed to hold.
func unsupported(s *specs.Spec) error {
	if s == nil || s.Process == nil || len(s.Process.Args) == 0 {
		return refuse("spec", "process.args", "there is no program to run")
	}
	if err := unsupportedProcess(s.Process); err != nil {
		return err
	}
	for i := range s.Mounts {
		if m := &s.Mounts[i]; len(m.UIDMappings)+len(m.GIDMappings) > 0 {
			return refuse("spec", m.Destination, "id-mapped mounts are not supported")
		}
	}
	l := s.Linux
	if l == nil {
		return nil
	}
	for _, ns := range l.Namespaces {
		switch ns.Type {
		case specs.UserNamespace, specs.TimeNamespace:
			return refuse("spec", "linux.namespaces", "a "+string(ns.Type)+" namespace is not supported")
		}
	}
	for _, k := range []struct {
		name string
		set  bool
	}{
		{"linux.uidMappings", len(l.UIDMappings)+len(l.GIDMappings) > 0},
		{"linux.mountLabel", l.MountLabel != ""},
		{"linux.intelRdt", l.IntelRdt != nil},
		{"linux.personality", l.Personality != nil},
		{"linux.timeOffsets", len(l.TimeOffsets) > 0},
		{"linux.rootfsPropagation", l.RootfsPropagation != "" && l.RootfsPropagation != "private" && l.RootfsPropagation != "rprivate"},
	} {
		if k.set {
			return refuse("spec", k.name, "is not supported")
		}
	}
	return nil
}

func unsupportedProcess(p *specs.Process) error {
	for _, k := range []struct {
		name string
		set  bool
	}{
		{"process.apparmorProfile", p.ApparmorProfile != "" && p.ApparmorProfile != "unconfined"},
		{"process.selinuxLabel", p.SelinuxLabel != ""},
		{"process.scheduler", p.Scheduler != nil},
		{"process.ioPriority", p.IOPriority != nil},
		{"process.execCPUAffinity", p.ExecCPUAffinity != nil},
	} {
		if k.set {
			return refuse("spec", k.name, "is not supported")
		}
	}
	return nil
}
