package container

import (
	"fmt"
	"reflect"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// unsupported names what of the runtime-spec s asks for and is not done; "" when all is. What is silently ignored would be
// believed to hold.
func unsupported(s *specs.Spec) string {
	var set []string
	add := func(name string, v any) {
		if isSet(reflect.ValueOf(v)) {
			set = append(set, name)
		}
	}
	add("hooks", s.Hooks)
	add("solaris", s.Solaris)
	add("windows", s.Windows)
	add("vm", s.VM)
	add("zos", s.ZOS)
	add("freebsd", s.FreeBSD)
	if p := s.Process; p != nil {
		add("process.commandLine", p.CommandLine)
		add("process.selinuxLabel", p.SelinuxLabel)
		add("process.scheduler", p.Scheduler)
		add("process.ioPriority", p.IOPriority)
		add("process.execCPUAffinity", p.ExecCPUAffinity)
		if p.ApparmorProfile != "unconfined" {
			add("process.apparmorProfile", p.ApparmorProfile)
		}
	}
	for i := range s.Mounts {
		add(fmt.Sprintf("mounts[%d].uidMappings", i), s.Mounts[i].UIDMappings)
		add(fmt.Sprintf("mounts[%d].gidMappings", i), s.Mounts[i].GIDMappings)
	}
	if s.Linux != nil {
		set = append(set, unsupportedLinux(s.Linux)...)
	}
	return strings.Join(set, ", ")
}

func unsupportedLinux(l *specs.Linux) (set []string) {
	add := func(name string, v any) {
		if isSet(reflect.ValueOf(v)) {
			set = append(set, "linux."+name)
		}
	}
	for _, ns := range l.Namespaces {
		switch ns.Type {
		case specs.PIDNamespace, specs.UTSNamespace, specs.IPCNamespace, specs.NetworkNamespace, specs.CgroupNamespace:
		case specs.MountNamespace: // always one of its own
			if ns.Path != "" {
				set = append(set, "linux.namespaces: the path of a mount namespace")
			}
		default:
			set = append(set, "linux.namespaces: a "+string(ns.Type)+" namespace")
		}
	}
	add("uidMappings", l.UIDMappings)
	add("gidMappings", l.GIDMappings)
	add("cgroupsPath", l.CgroupsPath)
	add("netDevices", l.NetDevices)
	add("mountLabel", l.MountLabel)
	add("intelRdt", l.IntelRdt)
	add("memoryPolicy", l.MemoryPolicy)
	add("personality", l.Personality)
	add("timeOffsets", l.TimeOffsets)
	if p := l.RootfsPropagation; p != "private" && p != "rprivate" { // which is what the root has
		add("rootfsPropagation", p)
	}
	return set
}

// isSet: an empty list asks for nothing, as one that is not there.
func isSet(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() > 0
	}
	return !v.IsZero()
}
