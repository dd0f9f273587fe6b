// Package caps computes capability sets from what a user adds to and drops from Docker's default.
//
// Names are taken with or without "CAP_", in any case, as Docker takes them. What the kernel does not know, or
// what this process itself lacks in its bounding set, cannot be given: an error when it was asked for by name,
// a warning when it came with ALL.
package caps

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/internal/errdefs"
)

// All is the name that means every capability.
const All = "ALL"

// names are in the order of their numbers, capabilities(7), linux/capability.h of Linux 6.18.
var names = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
	"CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
	"CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT",
	"CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
	"CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// Default is Docker's default set, by number.
func Default() []string {
	return []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID",
		"CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SYS_CHROOT", "CAP_MKNOD", "CAP_AUDIT_WRITE",
		"CAP_SETFCAP",
	}
}

// Known is every capability that this package has a name for, by number.
func Known() []string { return slices.Clone(names) }

// Available is what this process can give: its bounding set.
func Available() ([]string, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil, fmt.Errorf("cannot read the bounding set: %w", err)
	}
	return parseBounding(string(b))
}

func parseBounding(status string) ([]string, error) {
	for line := range strings.Lines(status) {
		hex, ok := strings.CutPrefix(line, "CapBnd:")
		if !ok {
			continue
		}
		mask, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		if err != nil {
			return nil, fmt.Errorf("cannot read the bounding set: %w", err)
		}
		var out []string
		for i, n := range names {
			if mask&(1<<i) != 0 {
				out = append(out, n)
			}
		}
		return out, nil
	}
	return nil, fmt.Errorf("cannot read the bounding set: no CapBnd in /proc/self/status")
}

// Resolve is Docker's default set with add and drop applied, for a process that can give available.
//
//	privileged        everything; add and drop have no say
//	add ALL           everything but what drop names
//	drop ALL          only what add names
//	otherwise         the default, without drop, with add
//
// The sets for execve are bounding, effective and permitted; nothing is inheritable (CVE-2022-24769) or
// ambient. The error names every name that is not known, with near ones.
func Resolve(add, drop []string, privileged bool, available []string) (*specs.LinuxCapabilities, []string, error) {
	added, addAll, err1 := normalize("cap_add", add)
	dropped, dropAll, err2 := normalize("cap_drop", drop)
	if err := join(err1, err2); err != nil {
		return nil, nil, err
	}
	var want []string
	byName := map[string]bool{}
	switch {
	case privileged:
		want = names
	case addAll:
		want = without(names, dropped)
	case dropAll:
		want = added
	default:
		want = append(without(Default(), dropped), without(added, nil)...)
	}
	if !privileged {
		for _, n := range added {
			byName[n] = true
		}
	}
	var got, warnings, lacking []string
	for _, n := range names { // by number, once each
		if !slices.Contains(want, n) {
			continue
		}
		switch {
		case slices.Contains(available, n):
			got = append(got, n)
		case byName[n]:
			lacking = append(lacking, n)
		default:
			warnings = append(warnings, fmt.Sprintf("capability %s cannot be given: this host or the sandbox around it does not have it", n))
		}
	}
	if len(lacking) > 0 {
		return nil, nil, errdefs.With(errdefs.ErrNotSupported, fmt.Errorf(
			"cannot add capability %s: this host or the sandbox around it does not have it", strings.Join(lacking, ", ")))
	}
	return &specs.LinuxCapabilities{Bounding: got, Effective: slices.Clone(got), Permitted: slices.Clone(got)}, warnings, nil
}

func join(errs ...error) error {
	var text []string
	for _, err := range errs {
		if err != nil {
			text = append(text, err.Error())
		}
	}
	if len(text) == 0 {
		return nil
	}
	return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("%s", strings.Join(text, "; ")))
}

func without(list, drop []string) []string {
	var out []string
	for _, n := range list {
		if !slices.Contains(drop, n) {
			out = append(out, n)
		}
	}
	return out
}

// normalize gives the kernel's names for what a user wrote under key.
func normalize(key string, list []string) (out []string, all bool, err error) {
	var bad []string
	for _, s := range list {
		n := strings.ToUpper(strings.TrimSpace(s))
		if n == All || n == "CAP_"+All {
			all = true
			continue
		}
		if !strings.HasPrefix(n, "CAP_") {
			n = "CAP_" + n
		}
		if !slices.Contains(names, n) {
			bad = append(bad, unknown(s, n))
			continue
		}
		out = append(out, n)
	}
	if len(bad) > 0 {
		return nil, false, fmt.Errorf("cannot use %s: %s", key, strings.Join(bad, "; "))
	}
	return out, all, nil
}

func unknown(written, name string) string {
	near := nearest(name)
	if len(near) == 0 {
		return fmt.Sprintf("no capability is named %q", written)
	}
	return fmt.Sprintf("no capability is named %q, did you mean %s?", written, strings.Join(near, " or "))
}

// nearest are the known names within a third of name's length in edits, nearest first, three at most.
func nearest(name string) []string {
	short := strings.TrimPrefix(name, "CAP_")
	limit := max(2, len(short)/3) // two: letters that changed places
	var out []string
	for d := 1; d <= limit && len(out) < 3; d++ {
		for _, n := range names {
			if distance(short, strings.TrimPrefix(n, "CAP_")) == d && len(out) < 3 {
				out = append(out, strings.TrimPrefix(n, "CAP_"))
			}
		}
	}
	return out
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Full are those that this process can give, for a process that has every privilege. None where that cannot be found out: a privileged process without
// privileges says itself what it lacks.
func Full() *specs.LinuxCapabilities {
	have, err := Available()
	if err != nil {
		have = nil
	}
	c, _, err := Resolve(nil, nil, true, have)
	if err != nil {
		return &specs.LinuxCapabilities{}
	}
	return c
}
