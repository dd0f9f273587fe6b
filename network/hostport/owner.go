package hostport

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/stackrun/stack/internal/plaintext"
)

// Owner describes who has proto port bound on an address that meets host (zero = any): "nginx (pid 812: nginx -g …)".
// "" when nobody is found; a process of another pid namespace is not.
func Owner(proto string, host netip.Addr, port uint16) string {
	inodes := map[string]bool{}
	for _, s := range sockets(proto) {
		if s.local.Port() == port && meets(s.local.Addr(), host) {
			inodes["socket:["+s.inode+"]"] = true
		}
	}
	if len(inodes) == 0 {
		if holds(proto, host, port) {
			return describe("/proc/" + strconv.Itoa(os.Getpid()))
		}
		return ""
	}
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return ""
	}
	slices.SortFunc(procs, func(a, b string) int { return pid(a) - pid(b) }) // a parent that shares the socket comes first
	for _, p := range procs {
		fds, err := os.ReadDir(p + "/fd")
		if err != nil {
			continue // it has ended, or is not ours to look at
		}
		for _, fd := range fds {
			if to, err := os.Readlink(p + "/fd/" + fd.Name()); err == nil && inodes[to] {
				return describe(p)
			}
		}
	}
	return ""
}

func pid(proc string) int {
	n, _ := strconv.Atoi(filepath.Base(proc))
	return n
}

func describe(proc string) string {
	comm, _ := os.ReadFile(proc + "/comm")
	args, _ := os.ReadFile(proc + "/cmdline")
	// A program can be called whatever somebody likes, and its arguments can be a whole script.
	line := strings.TrimSpace(plaintext.OneLine(strings.ReplaceAll(string(args), "\x00", " ")))
	if r := []rune(line); len(r) > 80 {
		line = string(r[:80]) + "…"
	}
	name := plaintext.OneLine(strings.TrimSpace(string(comm)))
	if line == "" {
		return fmt.Sprintf("%s (pid %d)", name, pid(proc))
	}
	return fmt.Sprintf("%s (pid %d: %s)", name, pid(proc), line)
}

// meets says whether sockets on a and b get in each other's way: on the same address, or one of them on all. An IPv6
// socket on all addresses may have the IPv4 ones as well.
func meets(a, b netip.Addr) bool {
	return !b.IsValid() || a.IsUnspecified() || b.IsUnspecified() || a == b
}

// sockets are those of proto in this network namespace. Of TCP sockets only those that listen count.
func sockets(proto string) (all []socket) {
	for _, name := range []string{proto, proto + "6"} {
		f, err := os.Open("/proc/thread-self/net/" + name)
		if err != nil {
			continue // a host without IPv6
		}
		all = append(all, parseSockets(f, proto == "tcp")...)
		f.Close()
	}
	return all
}

type socket struct {
	local netip.AddrPort
	inode string
}

// parseSockets reads /proc/net/{tcp,udp}{,6}: proc_net_tcp.rst of the kernel's documentation. Of TCP sockets only
// those that listen count.
func parseSockets(r io.Reader, listening bool) []socket {
	var all []socket
	sc := bufio.NewScanner(r)
	sc.Scan() // the heading
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 10 || listening && f[3] != "0A" {
			continue
		}
		local, ok := parseHexAddr(f[1])
		if ok {
			all = append(all, socket{local, f[9]})
		}
	}
	return all
}

// parseHexAddr reads 0100007F:1F90: 32-bit words in the machine's byte order, which is little-endian on all that we build for.
func parseHexAddr(s string) (netip.AddrPort, bool) {
	host, port, ok := strings.Cut(s, ":")
	if !ok {
		return netip.AddrPort{}, false
	}
	b, err := hex.DecodeString(host)
	if err != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		slices.Reverse(b[i : i+4])
	}
	a, ok := netip.AddrFromSlice(b)
	n, err := strconv.ParseUint(port, 16, 16)
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), ok && err == nil
}
