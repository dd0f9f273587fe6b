package seccomp

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/runtime/caps"
)

const (
	allow  = unix.SECCOMP_RET_ALLOW
	eperm  = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	enosys = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	kill   = unix.SECCOMP_RET_KILL_PROCESS
)

func assembled(t testing.TB, p *specs.LinuxSeccomp) []instruction {
	t.Helper()
	prog, err := assemble(p)
	if err != nil {
		t.Fatal(err)
	}
	return prog
}

func defaultProfile(t testing.TB, capabilities ...string) *specs.LinuxSeccomp {
	t.Helper()
	p, err := Default(capabilities)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func on(t *testing.T, arch string) {
	t.Helper()
	if runtime.GOARCH != arch {
		t.Skipf("SKIP: numbers of %s", arch)
	}
}

func TestDefaultProfile(t *testing.T) {
	on(t, "amd64")
	const (
		x64  = unix.AUDIT_ARCH_X86_64
		i386 = unix.AUDIT_ARCH_I386
	)
	plain := assembled(t, defaultProfile(t, caps.Default()...))
	admin := assembled(t, defaultProfile(t, append(caps.Default(), "CAP_SYS_ADMIN")...))
	t.Logf("%d instructions, with SYS_ADMIN %d", len(plain), len(admin))
	arg := func(v ...uint64) (a [6]uint64) { copy(a[:], v); return a }
	for _, tc := range []struct {
		name         string
		c            call
		plain, admin uint32
	}{
		{"read", call{arch: x64, nr: unix.SYS_READ}, allow, allow},
		{"openat2", call{arch: x64, nr: unix.SYS_OPENAT2}, allow, allow},
		{"socket AF_UNIX", call{x64, unix.SYS_SOCKET, arg(1, 1)}, allow, allow},
		{"socket AF_INET", call{x64, unix.SYS_SOCKET, arg(2, 1)}, allow, allow},
		{"socket AF_INET6", call{x64, unix.SYS_SOCKET, arg(10, 1)}, allow, allow},
		{"socket AF_NETLINK", call{x64, unix.SYS_SOCKET, arg(16, 3)}, allow, allow},
		{"socket AF_NFC", call{x64, unix.SYS_SOCKET, arg(39, 1)}, allow, allow},
		{"socket AF_ALG", call{x64, unix.SYS_SOCKET, arg(38, 5)}, eperm, eperm},
		{"socket AF_VSOCK", call{x64, unix.SYS_SOCKET, arg(40, 1)}, eperm, eperm},
		{"AF_ALG with dirt in the high word, which the kernel cuts off", call{x64, unix.SYS_SOCKET, arg(1<<32|38, 5)}, eperm, eperm},
		{"AF_UNIX with dirt in the high word", call{x64, unix.SYS_SOCKET, arg(1<<32|1, 5)}, eperm, eperm},
		{"unshare", call{x64, unix.SYS_UNSHARE, arg(unix.CLONE_NEWUSER)}, eperm, allow},
		{"mount", call{arch: x64, nr: unix.SYS_MOUNT}, eperm, allow},
		{"clone of a thread", call{x64, unix.SYS_CLONE, arg(unix.CLONE_VM | unix.CLONE_THREAD)}, allow, allow},
		{"clone NEWUSER", call{x64, unix.SYS_CLONE, arg(unix.CLONE_NEWUSER)}, eperm, allow},
		{"clone NEWNS", call{x64, unix.SYS_CLONE, arg(unix.CLONE_NEWNS | uint64(unix.SIGCHLD))}, eperm, allow},
		{"clone3: what programs fall back from", call{arch: x64, nr: unix.SYS_CLONE3}, enosys, allow},
		{"personality default", call{x64, unix.SYS_PERSONALITY, arg(0)}, allow, allow},
		{"personality query", call{x64, unix.SYS_PERSONALITY, arg(0xffffffff)}, allow, allow},
		{"personality no randomize", call{x64, unix.SYS_PERSONALITY, arg(0x0040000)}, eperm, eperm},
		{"kexec_load", call{arch: x64, nr: unix.SYS_KEXEC_LOAD}, eperm, eperm},
		{"add_key", call{arch: x64, nr: unix.SYS_ADD_KEY}, eperm, eperm},
		{"userfaultfd", call{arch: x64, nr: unix.SYS_USERFAULTFD}, eperm, eperm},
		{"io_uring_setup", call{arch: x64, nr: unix.SYS_IO_URING_SETUP}, eperm, eperm},
		{"a call of the future", call{arch: x64, nr: 900}, enosys, enosys},
		{"a hole among the old", call{arch: x64, nr: 250}, eperm, eperm}, // keyctl
		{"x32 read", call{arch: x64, nr: x32Bit}, allow, allow},
		{"x32 socket AF_ALG", call{x64, x32Bit | unix.SYS_SOCKET, arg(38)}, eperm, eperm},
		{"x32 mount", call{arch: x64, nr: x32Bit | unix.SYS_MOUNT}, eperm, allow},
		{"x32 of the future", call{arch: x64, nr: x32Bit + 900}, enosys, enosys},
		{"i386 read", call{arch: i386, nr: 3}, allow, allow},
		{"i386 mount", call{arch: i386, nr: 21}, eperm, allow},
		{"i386 socket AF_ALG", call{i386, 359, arg(38)}, eperm, eperm},
		{"i386 socket AF_INET", call{i386, 359, arg(2)}, allow, allow},
		{"i386 socketcall SOCKET", call{i386, 102, arg(1)}, eperm, eperm},
		{"i386 socketcall CONNECT", call{i386, 102, arg(3)}, allow, allow},
		{"i386 of the future", call{arch: i386, nr: 900}, enosys, enosys},
		{"a foreign architecture", call{arch: unix.AUDIT_ARCH_AARCH64, nr: 63}, kill, kill},
	} {
		if got := run(t, plain, tc.c); got != tc.plain {
			t.Errorf("%s: %#x, want %#x", tc.name, got, tc.plain)
		}
		if got := run(t, admin, tc.c); got != tc.admin {
			t.Errorf("%s with SYS_ADMIN: %#x, want %#x", tc.name, got, tc.admin)
		}
	}
}

// evaluate is the profile's meaning, spelled out, for one call by its name.
func evaluate(p *specs.LinuxSeccomp, name string, args [6]uint64) uint32 {
	holds := func(c specs.LinuxSeccompArg) bool {
		v := args[c.Index]
		switch c.Op {
		case specs.OpEqualTo:
			return v == c.Value
		case specs.OpNotEqual:
			return v != c.Value
		case specs.OpLessThan:
			return v < c.Value
		case specs.OpLessEqual:
			return v <= c.Value
		case specs.OpGreaterThan:
			return v > c.Value
		case specs.OpGreaterEqual:
			return v >= c.Value
		}
		return v&c.Value == c.ValueTwo
	}
	answer, _ := value(p.DefaultAction, p.DefaultErrnoRet)
	for _, s := range p.Syscalls {
		if slices.Contains(s.Names, name) && len(s.Args) == 0 {
			answer, _ = value(s.Action, s.ErrnoRet)
		}
	}
	for _, s := range p.Syscalls {
		if !slices.Contains(s.Names, name) || len(s.Args) == 0 {
			continue
		}
		all := true
		for _, c := range s.Args {
			all = all && holds(c)
		}
		if all {
			answer, _ = value(s.Action, s.ErrnoRet)
			break
		}
	}
	return answer
}

// TestEveryNumber compares the program with the profile for every call of every architecture.
func TestEveryNumber(t *testing.T) {
	for _, capabilities := range [][]string{nil, caps.Default(), caps.Known()} {
		p := defaultProfile(t, capabilities...)
		prog := assembled(t, p)
		list, err := abis(p.Architectures)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range list {
			last := uint32(0)
			byNumber := map[uint32]string{}
			for _, n := range a.numbers {
				nr, _ := a.number(n.name)
				byNumber[nr] = n.name
			}
			for _, s := range p.Syscalls {
				for _, n := range s.Names {
					if nr, ok := a.number(n); ok && nr&^a.bit < armPrivate {
						last = max(last, nr)
					}
				}
			}
			for nr := a.bit; nr < a.bit+600; nr++ {
				for _, args := range [][6]uint64{{}, {1}, {2}, {38}, {0xffffffff}, {unix.CLONE_NEWUSER}} {
					want := evaluate(p, byNumber[nr], args)
					if nr > last {
						want = enosys
					}
					if got := run(t, prog, call{a.audit, nr, args}); got != want {
						t.Fatalf("%s %d (%s) %v: %#x, want %#x", a.arch, nr, byNumber[nr], args, got, want)
					}
				}
			}
		}
	}
}

// TestComparisons plays random profiles of one call against their meaning, around the edges of both words.
func TestComparisons(t *testing.T) {
	native, err := abis(nil)
	if err != nil {
		t.Fatal(err)
	}
	nr, _ := native[0].number("ioctl")
	edges := []uint64{0, 1, 2, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<32 + 1, 5<<32 | 7, 1<<63 - 1, 1 << 63, 1<<64 - 1}
	ops := []specs.LinuxSeccompOperator{specs.OpEqualTo, specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual,
		specs.OpGreaterThan, specs.OpGreaterEqual, specs.OpMaskedEqual}
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func() uint64 { return edges[rng.IntN(len(edges))] }
	for range 3000 {
		errno := uint(77)
		p := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, DefaultErrnoRet: &errno}
		for range 1 + rng.IntN(3) {
			s := specs.LinuxSyscall{Names: []string{"ioctl"}, Action: []specs.LinuxSeccompAction{specs.ActAllow, specs.ActLog, specs.ActTrap}[rng.IntN(3)]}
			for _, index := range rng.Perm(6)[:1+rng.IntN(3)] {
				s.Args = append(s.Args, specs.LinuxSeccompArg{Index: uint(index), Op: ops[rng.IntN(len(ops))], Value: pick(), ValueTwo: pick()})
			}
			p.Syscalls = append(p.Syscalls, s)
		}
		prog := assembled(t, p)
		for range 40 {
			var args [6]uint64
			for i := range args {
				args[i] = pick()
			}
			want := evaluate(p, "ioctl", args)
			if got := run(t, prog, call{native[0].audit, nr, args}); got != want {
				b, _ := json.MarshalIndent(p, "", " ")
				t.Fatalf("%v: %#x, want %#x\n%s", args, got, want, b)
			}
		}
	}
}

func TestConditionsOnOneArgumentAreAlternatives(t *testing.T) {
	native, err := abis(nil)
	if err != nil {
		t.Fatal(err)
	}
	nr, _ := native[0].number("ioctl")
	prog := assembled(t, &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{{Names: []string{"ioctl"}, Action: specs.ActAllow,
		Args: []specs.LinuxSeccompArg{{Index: 1, Value: 5, Op: specs.OpEqualTo}, {Index: 1, Value: 9, Op: specs.OpEqualTo}}}}})
	for v, want := range map[uint64]uint32{5: allow, 9: allow, 7: eperm} {
		if got := run(t, prog, call{native[0].audit, nr, [6]uint64{0, v}}); got != want {
			t.Errorf("%d: %#x, want %#x", v, got, want)
		}
	}
}

func TestLongProgram(t *testing.T) {
	// More conditions than a conditional jump reaches across.
	native, err := abis(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno}
	for i := range 300 {
		p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{Names: []string{"ioctl", "fcntl"}, Action: specs.ActAllow,
			Args: []specs.LinuxSeccompArg{{Index: 1, Value: uint64(1000 + 2*i), Op: specs.OpEqualTo}}})
	}
	prog := assembled(t, p)
	for _, name := range []string{"ioctl", "fcntl"} {
		nr, _ := native[0].number(name)
		for i := range uint64(700) {
			want := evaluate(p, name, [6]uint64{0, 950 + i})
			if got := run(t, prog, call{native[0].audit, nr, [6]uint64{0, 950 + i}}); got != want {
				t.Fatalf("%s(%d): %#x, want %#x", name, 950+i, got, want)
			}
		}
	}
	for i := range 600 {
		p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{Names: []string{"ioctl", "fcntl"}, Action: specs.ActAllow,
			Args: []specs.LinuxSeccompArg{{Index: 2, Value: uint64(i), Op: specs.OpEqualTo}}})
	}
	if _, err := Compile(p); !errors.Is(err, errdefs.ErrNotSupported) {
		t.Errorf("a program of too many instructions: %v", err)
	}
}

func TestLoad(t *testing.T) {
	p, err := Load([]byte(`{"defaultAction":"SCMP_ACT_ALLOW","archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}],
		"syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":30},{"name":"chmod","action":"SCMP_ACT_KILL_PROCESS"}]}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	prog := assembled(t, p)
	native, _ := abis(nil)
	for name, want := range map[string]uint32{"mkdirat": unix.SECCOMP_RET_ERRNO | 30, "read": allow} {
		nr, _ := native[0].number(name)
		if got := run(t, prog, call{arch: native[0].audit, nr: nr}); got != want {
			t.Errorf("%s: %#x, want %#x", name, got, want)
		}
	}
	// A default that allows keeps allowing what is newer than the profile.
	if got := run(t, prog, call{arch: native[0].audit, nr: 900}); got != allow {
		t.Errorf("a call of the future: %#x", got)
	}
	for text, part := range map[string]string{
		`{`:                                   "seccomp profile",
		`{}`:                                  "no defaultAction",
		`{"defaultAction":"SCMP_ACT_ODD"}`:    "SCMP_ACT_ODD",
		`{"defaultAction":"SCMP_ACT_NOTIFY"}`: "SCMP_ACT_NOTIFY",
		`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_ERRNO","args":[{"index":7,"value":1,"op":"SCMP_CMP_EQ"}]}]}`:  "argument 7",
		`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":1,"op":"SCMP_CMP_ODD"}]}]}`: "SCMP_CMP_ODD",
		`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_ERRNO"},{"names":["read"],"action":"SCMP_ACT_LOG"}]}`:         "read has two entries",
		`{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_TSYNC"],"syscalls":[]}`:                                                          "flags",
		`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_ERRNO","errnoRet":100000}]}`:                                  "100000",
	} {
		if _, err := Load([]byte(text), nil); err == nil || !strings.Contains(err.Error(), part) || !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%s: %v, want an error with %q", text, err, part)
		}
	}
}

func FuzzLoad(f *testing.F) {
	b, err := json.Marshal(defaultProfile(f, caps.Default()...))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":18446744073709551615,"op":"SCMP_CMP_LE"}]}]}`))
	f.Fuzz(func(t *testing.T, profile []byte) {
		p, err := Load(profile, nil)
		if err != nil {
			return
		}
		prog := assembled(t, p)
		for _, nr := range []uint32{0, 1, 41, 435, 1 << 20, x32Bit, 1<<32 - 1} {
			run(t, prog, call{arch: unix.AUDIT_ARCH_X86_64, nr: nr})
		}
	})
}

func BenchmarkCompileDefault(b *testing.B) {
	p := defaultProfile(b, caps.Default()...)
	for b.Loop() {
		if _, err := Compile(p); err != nil {
			b.Fatal(err)
		}
	}
}
