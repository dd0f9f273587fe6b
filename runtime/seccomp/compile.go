package seccomp

import (
	"encoding/binary"
	"fmt"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
)

// Offsets in struct seccomp_data { int nr; __u32 arch; __u64 instruction_pointer; __u64 args[6]; }.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArgs   = 16
)

// maxInstructions is BPF_MAXINSNS.
const maxInstructions = 4096

// Compile makes the program of p: struct sock_filter[], native byte order (both supported
// machines are little-endian).
//
// Of several entries for one call those with conditions are tried first, in the profile's order, then the one
// without. A call that no entry names gets the default action. One with a number above every number in the profile gets ENOSYS
// instead of an errno or a kill, because programs try calls that are newer than the profile and fall back on ENOSYS only:
// https://github.com/opencontainers/runc/blob/v1.4.0/libcontainer/seccomp/patchbpf/enosys_linux.go
// A foreign architecture kills the process.
func Compile(p *specs.LinuxSeccomp) ([]byte, error) {
	prog, err := assemble(p)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, 8*len(prog))
	for _, i := range prog {
		out = binary.NativeEndian.AppendUint16(out, i.code)
		out = append(out, i.jt, i.jf)
		out = binary.NativeEndian.AppendUint32(out, i.k)
	}
	return out, nil
}

// rule is one entry of the profile for one call.
type rule struct {
	conditions []specs.LinuxSeccompArg // all must hold
	value      uint32                  // SECCOMP_RET_…
}

func assemble(p *specs.LinuxSeccomp) ([]instruction, error) {
	if len(p.Flags) > 0 || p.ListenerPath != "" {
		return nil, errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("seccomp flags and listeners are not supported"))
	}
	fallback, err := value(p.DefaultAction, p.DefaultErrnoRet)
	if err != nil {
		return nil, fmt.Errorf("default action: %w", err)
	}
	list, err := abis(p.Architectures)
	if err != nil {
		return nil, err
	}
	a := new(assembler)
	entries := map[specs.Arch]label{}
	for _, abi := range list {
		calls, err := abi.calls(p)
		if err != nil {
			return nil, err
		}
		entries[abi.arch] = a.search(abi, calls, fallback)
	}
	entry := a.dispatch(list, entries)
	prog := a.program(entry)
	if len(prog) > maxInstructions {
		return nil, errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("the seccomp profile needs %d BPF instructions, the kernel takes %d", len(prog), maxInstructions))
	}
	return prog, nil
}

// calls gathers the rules of each number.
func (a abi) calls(p *specs.LinuxSeccomp) (map[uint32][]rule, error) {
	out := map[uint32][]rule{}
	for _, s := range p.Syscalls {
		v, err := value(s.Action, s.ErrnoRet)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", first(s.Names), err)
		}
		alternatives, err := alternatives(s.Args)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", first(s.Names), err)
		}
		for _, name := range s.Names {
			nr, ok := a.number(name)
			if !ok {
				continue // not on this architecture, see Unknown
			}
			for _, conditions := range alternatives {
				r := rule{conditions, v}
				if have := unconditional(out[nr]); len(conditions) == 0 && have != nil {
					if have.value != v {
						return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("%s has two entries without conditions and with different actions", name))
					}
					continue
				}
				out[nr] = append(out[nr], r)
			}
		}
	}
	return out, nil
}

func first(names []string) string {
	if len(names) == 0 {
		return "an entry without names"
	}
	return names[0]
}

func unconditional(rules []rule) *rule {
	for i := range rules {
		if len(rules[i].conditions) == 0 {
			return &rules[i]
		}
	}
	return nil
}

// alternatives are sets of conditions of which one must hold. The conditions of an entry all must, unless two are about
// one argument: then, as every runtime reads it, each stands for itself.
func alternatives(args []specs.LinuxSeccompArg) ([][]specs.LinuxSeccompArg, error) {
	seen := map[uint]bool{}
	twice := false
	for _, c := range args {
		if c.Index > 5 {
			return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("argument %d: a system call has 0 to 5", c.Index))
		}
		switch c.Op {
		case specs.OpEqualTo, specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpGreaterThan, specs.OpGreaterEqual, specs.OpMaskedEqual:
		default:
			return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("comparison %q is not known", c.Op))
		}
		twice = twice || seen[c.Index]
		seen[c.Index] = true
	}
	if !twice {
		return [][]specs.LinuxSeccompArg{args}, nil
	}
	var out [][]specs.LinuxSeccompArg
	for i := range args {
		out = append(out, args[i:i+1])
	}
	return out, nil
}

// value is the filter's answer for an action.
func value(action specs.LinuxSeccompAction, errno *uint) (uint32, error) {
	data := func(kind uint32) (uint32, error) {
		n := uint(unix.EPERM)
		if errno != nil {
			n = *errno
		}
		if n > 4095 { // MAX_ERRNO
			return 0, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("errno %d is not one", n))
		}
		return kind | uint32(n), nil
	}
	switch action {
	case specs.ActAllow:
		return unix.SECCOMP_RET_ALLOW, nil
	case specs.ActErrno:
		return data(unix.SECCOMP_RET_ERRNO)
	case specs.ActTrace:
		return data(unix.SECCOMP_RET_TRACE)
	case specs.ActKill, specs.ActKillThread:
		return unix.SECCOMP_RET_KILL_THREAD, nil
	case specs.ActKillProcess:
		return unix.SECCOMP_RET_KILL_PROCESS, nil
	case specs.ActTrap:
		return unix.SECCOMP_RET_TRAP, nil
	case specs.ActLog:
		return unix.SECCOMP_RET_LOG, nil
	case specs.ActNotify:
		return 0, errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("action %s is not supported", action))
	}
	return 0, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("action %q is not known", action))
}

// span is a run of numbers with one answer, up to where the next begins.
type span struct {
	from   uint32
	target label
}

// search emits the code for one abi and returns where it begins.
func (a *assembler) search(abi abi, calls map[uint32][]rule, fallback uint32) label {
	numbers := make([]uint32, 0, len(calls))
	last := abi.bit
	for nr := range calls {
		numbers = append(numbers, nr)
		if abi.arch != specs.ArchARM || nr < armPrivate {
			last = max(last, nr)
		}
	}
	slices.Sort(numbers)

	// The answer to one number. Answers are compared by value, so that neighbours with the same one join.
	type answer struct {
		value uint32
		rules []rule // not nil: value is the fallback of these
	}
	type stretch struct {
		from uint32
		answer
	}
	var list []stretch
	add := func(from uint32, x answer) {
		if n := len(list); n > 0 {
			if list[n-1].from == from {
				list = list[:n-1]
			}
		}
		if n := len(list); n > 0 && x.rules == nil && list[n-1].rules == nil && list[n-1].value == x.value {
			return
		}
		list = append(list, stretch{from, x})
	}
	other := func(nr uint32) answer {
		if nr > last && !lets(fallback) && (abi.arch != specs.ArchARM || nr < armPrivate) {
			return answer{value: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)}
		}
		return answer{value: fallback}
	}
	add(0, other(0))
	for _, nr := range numbers {
		rules := calls[nr]
		x := answer{value: fallback}
		if u := unconditional(rules); u != nil {
			x.value = u.value
		}
		for _, r := range rules {
			if len(r.conditions) > 0 {
				x.rules = append(x.rules, r)
			}
		}
		add(nr, x)
		add(nr+1, other(nr+1))
	}
	if abi.arch == specs.ArchARM && len(numbers) > 0 && numbers[len(numbers)-1] < armPrivate {
		add(armPrivate, other(armPrivate))
	}

	// Conditions first, for they lie at the end of the program and the search before them; then the tree.
	spans := make([]span, len(list))
	for i, s := range list {
		if s.rules != nil {
			spans[i] = span{s.from, a.rules(abi, s.rules, s.value)}
		}
	}
	for i, s := range list {
		if s.rules == nil {
			spans[i] = span{s.from, -1}
		}
	}
	var tree func(lo, hi int) label
	tree = func(lo, hi int) label {
		if hi-lo == 1 {
			if spans[lo].target < 0 {
				return a.ret(list[lo].value)
			}
			return spans[lo].target
		}
		mid := (lo + hi) / 2
		right := tree(mid, hi)
		left := tree(lo, mid)
		return a.branch(unix.BPF_JGE, spans[mid].from, right, left)
	}
	return tree(0, len(spans))
}

// lets says whether an action lets the call happen: then a newer call may happen too.
func lets(v uint32) bool {
	switch v & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_LOG, unix.SECCOMP_RET_TRACE:
		return true
	}
	return false
}

// rules tries each in turn; the number is in the accumulator and not needed any more.
func (a *assembler) rules(abi abi, rules []rule, otherwise uint32) label {
	next := a.ret(otherwise)
	for _, r := range slices.Backward(rules) {
		to := a.ret(r.value)
		for _, c := range slices.Backward(r.conditions) {
			to = a.condition(abi.wide, c, to, next)
		}
		next = to
	}
	return next
}

// condition goes to yes when c holds, else to no. A 64-bit argument is two words, low first on the supported machines.
func (a *assembler) condition(wide bool, c specs.LinuxSeccompArg, yes, no label) label {
	low := uint32(offsetArgs + 8*c.Index)
	high := low + 4
	loV, hiV := uint32(c.Value), uint32(c.Value>>32)

	switch c.Op {
	case specs.OpNotEqual:
		c.Op, yes, no = specs.OpEqualTo, no, yes
	case specs.OpLessThan:
		c.Op, yes, no = specs.OpGreaterEqual, no, yes
	case specs.OpLessEqual:
		c.Op, yes, no = specs.OpGreaterThan, no, yes
	}
	switch c.Op {
	case specs.OpEqualTo:
		l := a.load(low, a.branch(unix.BPF_JEQ, loV, yes, no))
		if wide {
			l = a.load(high, a.branch(unix.BPF_JEQ, hiV, l, no))
		}
		return l
	case specs.OpMaskedEqual:
		// Value is the mask, ValueTwo what must be left.
		l := a.load(low, a.and(loV, a.branch(unix.BPF_JEQ, uint32(c.ValueTwo), yes, no)))
		if hi2 := uint32(c.ValueTwo >> 32); wide && (hiV != 0 || hi2 != 0) {
			l = a.load(high, a.and(hiV, a.branch(unix.BPF_JEQ, hi2, l, no)))
		}
		return l
	}
	op := uint16(unix.BPF_JGE)
	if c.Op == specs.OpGreaterThan {
		op = unix.BPF_JGT
	}
	l := a.load(low, a.branch(op, loV, yes, no))
	if wide {
		equal := a.branch(unix.BPF_JEQ, hiV, l, no)
		l = a.load(high, a.branch(unix.BPF_JGT, hiV, yes, equal))
	}
	return l
}

// dispatch tells the architectures apart and loads the number.
func (a *assembler) dispatch(list []abi, entries map[specs.Arch]label) label {
	next := a.ret(unix.SECCOMP_RET_KILL_PROCESS)
	done := map[uint32]bool{}
	for _, x := range slices.Backward(list) {
		if done[x.audit] {
			continue
		}
		done[x.audit] = true
		var plain, x32 label = -1, -1
		for _, y := range list {
			if y.audit == x.audit && y.bit == 0 {
				plain = entries[y.arch]
			} else if y.audit == x.audit {
				x32 = entries[y.arch]
			}
		}
		to := plain
		if x.audit == unix.AUDIT_ARCH_X86_64 {
			if x32 < 0 {
				// The kernel may have x32; the profile does not want it.
				x32 = a.ret(unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS))
			}
			to = a.branch(unix.BPF_JGE, x32Bit, x32, plain)
		}
		next = a.branch(unix.BPF_JEQ, x.audit, a.load(offsetNumber, to), next)
	}
	return a.load(offsetArch, next)
}
