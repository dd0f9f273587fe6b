package seccomp

import (
	"fmt"
	"slices"

	profiles "github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/internal/errdefs"
)

// sysSocket is the first argument of socketcall(2) that means socket(2).
const sysSocket = 1

// Default is the profile of a process whose bounding set is capabilities ("CAP_…"), on this kernel and machine: Docker's, but
// for one call.
//
// socketcall(SYS_SOCKET), which only 32-bit x86 programs make, is denied. Its arguments lie behind a pointer, where no filter
// can see the address family, so it would open the way around the list of families (AF_ALG: CVE-2026-31431, AF_VSOCK), also
// for 64-bit programs. docs/adr/0030-socketcall.md weighs what that costs; Builtin is the way out.
func Default(capabilities []string) (*specs.LinuxSeccomp, error) {
	p, err := Builtin(capabilities)
	if err != nil {
		return nil, err
	}
	narrowSocketcall(p)
	return p, nil
}

// Builtin is Docker's default profile as it is: what security_opt seccomp=builtin asks for, there and here.
func Builtin(capabilities []string) (*specs.LinuxSeccomp, error) {
	p, err := profiles.GetDefaultProfile(specFor(capabilities))
	if err != nil {
		return nil, fmt.Errorf("cannot make the default seccomp profile: %w", err)
	}
	return p, nil
}

// Load reads a profile as Docker takes it: JSON, with archMap, includes and excludes, or the runtime-spec's own form.
func Load(profile []byte, capabilities []string) (*specs.LinuxSeccomp, error) {
	p, err := profiles.LoadProfile(string(profile), specFor(capabilities))
	if err == nil && p == nil {
		err = fmt.Errorf("it has no defaultAction and no syscalls")
	}
	if err == nil {
		_, err = Compile(p)
	}
	if err != nil {
		return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot use the seccomp profile: %w", err))
	}
	return p, nil
}

func specFor(capabilities []string) *specs.Spec {
	return &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: capabilities}}}
}

func narrowSocketcall(p *specs.LinuxSeccomp) {
	const name = "socketcall"
	found := false
	for i := range p.Syscalls {
		s := &p.Syscalls[i]
		if s.Action == specs.ActAllow && len(s.Args) == 0 && slices.Contains(s.Names, name) {
			s.Names = slices.DeleteFunc(slices.Clone(s.Names), func(n string) bool { return n == name })
			found = true
		}
	}
	if found {
		p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{Names: []string{name}, Action: specs.ActAllow,
			Args: []specs.LinuxSeccompArg{{Index: 0, Value: sysSocket, Op: specs.OpNotEqual}}})
	}
}
