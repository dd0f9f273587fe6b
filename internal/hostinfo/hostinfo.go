// Package hostinfo reads what kind of host this is: its kernel, distribution, processors and memory, for those who show it.
//
// Called by api/docker/system. May touch: nothing; it reads /proc and /etc.
package hostinfo

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Host is what this host is. A text that cannot be found out is empty, a number 0.
type Host struct {
	Name       string // of the host, uname(2)
	Kernel     string // release: 6.1.0-18-amd64
	Machine    string // as uname -m: x86_64
	OS, OSID   string // PRETTY_NAME and VERSION_ID of os-release(5)
	CPUs       int    // that this process may use
	Memory     int64  // bytes
	Forwarding bool   // net.ipv4.ip_forward
	CgroupV2   bool   // v2 alone is at /sys/fs/cgroup; false = v1, with or without v2 beside it
}

// Read reads them now.
func Read() Host {
	h := Host{CPUs: runtime.NumCPU()}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		h.Name, h.Kernel, h.Machine = unix.ByteSliceToString(u.Nodename[:]), unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:])
	}
	for _, path := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		if f, err := os.Open(path); err == nil {
			h.OS, h.OSID = osRelease(f)
			f.Close()
			break
		}
	}
	if f, err := os.Open("/proc/meminfo"); err == nil {
		h.Memory = memTotal(f)
		f.Close()
	}
	text, _ := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
	h.Forwarding = strings.TrimSpace(string(text)) == "1"
	var fs unix.Statfs_t
	h.CgroupV2 = unix.Statfs("/sys/fs/cgroup", &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC
	return h
}

// osRelease reads the name for people and the version: os-release(5).
func osRelease(r io.Reader) (name, version string) {
	for s := bufio.NewScanner(r); s.Scan(); {
		key, value, _ := strings.Cut(s.Text(), "=")
		if text, err := strconv.Unquote(value); err == nil {
			value = text
		}
		value = strings.Trim(value, "'")
		switch key {
		case "PRETTY_NAME":
			name = value
		case "VERSION_ID":
			version = value
		}
	}
	return name, version
}

// memTotal reads proc_meminfo(5); bytes.
func memTotal(r io.Reader) int64 {
	for s := bufio.NewScanner(r); s.Scan(); {
		var kib int64
		if n, _ := fmt.Sscanf(s.Text(), "MemTotal: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}
