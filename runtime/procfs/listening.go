package procfs

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Listening lists the TCP ports that are listened on in the network namespace of process pid, ascending, at addresses that others can reach: those of loopback
// are left out. Of a process that has ended there are none.
func Listening(pid int) ([]int, error) {
	var ports []int
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/net/" + table)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.EINVAL): // a kernel without IPv6, and an init that has ended meanwhile
		case err != nil:
			return nil, err
		default:
			ports = append(ports, parseListening(text)...)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports), nil
}

// listens is TCP_LISTEN in the tables of proc_pid_net(5): include/net/tcp_states.h.
const listens = "0A"

// parseListening reads proc_pid_net(5), tcp or tcp6. A line that is none is left out.
func parseListening(table []byte) []int {
	var ports []int
	for line := range bytes.Lines(table) {
		f := bytes.Fields(line) // number, local address, remote address, state
		if len(f) < 4 || string(f[3]) != listens {
			continue
		}
		address, port, ok := bytes.Cut(f[1], []byte(":"))
		n, err := strconv.ParseUint(string(port), 16, 16)
		if a := parseKernelAddress(address); ok && err == nil && a.IsValid() && !a.IsLoopback() {
			ports = append(ports, int(n))
		}
	}
	return ports
}

// parseKernelAddress reads an address as those tables have it: words of four bytes, each printed as a number of this machine.
func parseKernelAddress(text []byte) netip.Addr {
	b := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(b, text); err != nil || len(b)%4 != 0 {
		return netip.Addr{}
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, _ := netip.AddrFromSlice(b)
	return a.Unmap()
}
