package boot

import (
	"sync"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// capNames are in the order of their numbers (linux/capability.h).
var capNames = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
	"CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE",
	"CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP",
	"CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ",
	"CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// capSets are bit masks of capabilities(7).
type capSets struct {
	bounding, effective, permitted, inheritable, ambient uint64

	dropped uint64 // what this thread's bounding set has and bounding has not; set by limit
}

func parseCaps(c *specs.LinuxCapabilities) (capSets, error) {
	var s capSets
	if c == nil {
		return s, nil
	}
	for _, set := range []struct {
		names []string
		mask  *uint64
	}{
		{c.Bounding, &s.bounding}, {c.Effective, &s.effective}, {c.Permitted, &s.permitted},
		{c.Inheritable, &s.inheritable}, {c.Ambient, &s.ambient},
	} {
		for _, name := range set.names {
			bit, ok := capBit(name)
			if !ok {
				return s, refuse("capabilities", name, "there is no such capability")
			}
			*set.mask |= bit
		}
	}
	return s, nil
}

func capBit(name string) (uint64, bool) {
	for i, n := range capNames {
		if n == name {
			return 1 << i, true
		}
	}
	return 0, false
}

// limit takes out of s what this kernel does not know or the daemon itself does not have, finds out what is to go from the bounding set, and so out of
// every later execve's reach, and returns warnings.
func (s *capSets) limit() (notes []string) {
	known := bounding()
	s.dropped = known &^ s.bounding
	if lost := s.permitted &^ known; lost != 0 {
		for i := range capNames {
			if lost&(1<<i) != 0 {
				notes = append(notes, "capability "+capNames[i]+" is not given: this host does not have it")
			}
		}
	}
	s.effective &= known
	s.permitted &= known
	s.inheritable &= known
	s.ambient &= known
	return notes
}

// bounding is this process's bounding set, which it does not change.
var bounding = sync.OnceValue(func() (set uint64) {
	for i := range 64 {
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(i), 0, 0, 0)
		if err != nil {
			break // the last one was the kernel's last
		}
		if has != 0 {
			set |= 1 << i
		}
	}
	return set
})

func capName(i int) string {
	if i < len(capNames) {
		return capNames[i]
	}
	return "a capability that is newer than stack"
}

// data is s for capset(2); extra is added to effective and permitted.
func (s *capSets) data(extra uint64) (data [2]unix.CapUserData) {
	for i := range data {
		shift := 32 * i
		data[i] = unix.CapUserData{
			Effective:   uint32((s.effective | extra) >> shift),
			Permitted:   uint32((s.permitted | extra) >> shift),
			Inheritable: uint32(s.inheritable >> shift),
		}
	}
	return data
}
