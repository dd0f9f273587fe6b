package hostport

import (
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// What the firewall forwards comes to no listener, but while somebody has taken the firewall's rules away ("nft flush ruleset"). An answer would do harm
// then. Nobody accepts a connection that is made in that moment, and it hangs, for its packets go another way once the rules are back; one that was there
// before is reset, since the listener does not know it. A packet that is dropped is sent again (RFC 9293 section 3.8.1), and finds the rules.

// mute lets a TCP socket bound to an address of host's family drop all that reaches it, but over IPv6 what is for [::1], which the firewall cannot forward.
func mute(fd int, host netip.Addr) error {
	program := dropAll
	if host.Is6() {
		program = dropAllButLoopback6
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
}

// unmute is success when the socket is not muted.
func unmute(fd int) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
	if err == unix.ENOENT {
		return nil
	}
	return err
}

// control calls do with l's descriptor.
func control(l *net.TCPListener, do func(fd int) error) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	if cerr := raw.Control(func(fd uintptr) { err = do(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

// Socket filters (filter.rst of the kernel's documentation) give how many bytes of a packet are kept: none is a drop. Loads are from the IP header, where RFC 8200
// section 3 has the destination.
var (
	dropAll = []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}

	dropAllButLoopback6 = []unix.SockFilter{
		word(24), unless(0, 7),
		word(28), unless(0, 5),
		word(32), unless(0, 3),
		word(36), unless(1, 1),
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
		{Code: unix.BPF_RET | unix.BPF_K},
	}
)

// word loads 32 bits of the IP header.
func word(at uint32) unix.SockFilter {
	const netOff = 0xfff00000 // SKF_NET_OFF of linux/filter.h, -0x100000
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: netOff + at}
}

// unless skips so many instructions when what was loaded is not value.
func unless(value uint32, skip uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: value, Jf: skip}
}
