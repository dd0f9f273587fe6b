package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stackrun/stack/spec/tree"
)

// capabilities of capabilities(7), without CAP_.
var capabilities = []string{"AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN",
	"DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN",
	"MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP",
	"SETUID", "SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO",
	"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "WAKE_ALARM"}

func (d *decoder) capabilities(n *tree.Node) []string {
	var out keyedList[string]
	for _, it := range d.items(n) {
		s := d.str(it)
		c := strings.TrimPrefix(strings.ToUpper(s), "CAP_")
		if s != "" && c != "ALL" && !slices.Contains(capabilities, c) {
			d.unfit(it, fmt.Sprintf("%q is not a capability", s), suggest(strings.ToLower(c), lower(capabilities)))
		}
		if d.in.Purpose != ToRun {
			c = s // as written
		}
		if s != "" {
			out.put(c, c)
		}
	}
	return out.all
}

func lower(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.ToLower(s)
	}
	return out
}

// securityOpts checks and normalises to key=value: no-new-privileges=true, seccomp=…,
// apparmor=…, label=…, systempaths=unconfined.
func (d *decoder) securityOpts(s *draft) {
	n := s.node.Get("security_opt")
	if len(s.SecurityOpt) == 0 {
		return
	}
	var out keyedList[string]
	for _, it := range d.items(n) {
		s := it.Value
		if s == "" {
			continue
		}
		key, value, ok := cutAny(s, "=:")
		valid := ok
		switch key {
		case "no-new-privileges":
			b, err := strconv.ParseBool(value)
			if !ok {
				b, err = true, nil
			}
			valid, value = err == nil, strconv.FormatBool(b)
		case "systempaths":
			valid = value == "unconfined"
		case "seccomp":
			if value != "unconfined" && value != "builtin" && value != "" {
				value = d.path(value)
			}
		case "apparmor", "label":
		default:
			d.unfit(it, fmt.Sprintf("%q is not known", s), suggest(key, []string{"no-new-privileges", "seccomp", "apparmor", "label", "systempaths"}))
			continue
		}
		if !valid || value == "" {
			d.unfit(it, fmt.Sprintf("%q is not a valid value for %s", value, key), "")
			continue
		}
		opt := key + "=" + value
		if out.has(opt) {
			d.refuse(CodeDuplicate, it, fmt.Sprintf("%s: %q is there twice", n.Path, s), "remove one")
			continue
		}
		out.put(opt, opt)
	}
	if d.in.Purpose == ToRun {
		s.SecurityOpt = out.all
	}
}

func cutAny(s, seps string) (before, after string, found bool) {
	if i := strings.IndexAny(s, seps); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// cpuset checks the list of cpuset(7): 0-3,7.
func (d *decoder) cpuset(n *tree.Node) string {
	s := d.str(n)
	for part := range strings.SplitSeq(s, ",") {
		a, b, isRange := strings.Cut(strings.TrimSpace(part), "-")
		low, err := strconv.ParseUint(a, 10, 16)
		high := low
		if err == nil && isRange {
			high, err = strconv.ParseUint(b, 10, 16)
		}
		if s != "" && (err != nil || high < low) {
			d.unfit(n, fmt.Sprintf("%q is not a list of CPUs", s), "write numbers and ranges, such as 0-3,7")
			return s
		}
	}
	return s
}
