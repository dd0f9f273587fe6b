package server

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// guarded hands on connections of peers that may connect, and counts them.
type guarded struct {
	net.Listener
	server *Server
}

func (g *guarded) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if err := g.server.allow(c); err != nil {
			g.server.log.Warn("connection refused", "reason", err)
			c.Close()
			continue
		}
		if !g.server.opened(c) {
			c.Close()
			continue
		}
		return &counted{Conn: c, server: g.server}, nil
	}
}

// counted is a connection that leaves the count when it is closed, once.
type counted struct {
	net.Conn
	server *Server
	once   sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.server.closed(c.Conn) })
	return c.Conn.Close()
}

// peerName tells the users of the socket from each other; "" = nobody knows.
func peerName(c net.Conn) string {
	socket, ok := c.(syscall.Conn)
	if !ok {
		return ""
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return ""
	}
	name := ""
	_ = raw.Control(func(fd uintptr) { // then it has no name
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			name = fmt.Sprintf("uid %d", cred.Uid)
		}
	})
	return name
}

// allow checks who is at the other end of c, besides the socket's mode: a socket that was passed on,
// or whose mode an administrator widened, must not make more people root than the group has members.
func (s *Server) allow(c net.Conn) error {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return fmt.Errorf("%T is no unix socket", c)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var groups []uint32
	var credErr error
	trusted := func() bool { return cred.Uid == 0 || int(cred.Uid) == os.Geteuid() }
	err = raw.Control(func(fd uintptr) {
		if cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); credErr == nil && !trusted() {
			groups = peerGroups(int(fd)) // into a buffer for as many as there may be
		}
	})
	if err == nil {
		err = credErr
	}
	if err != nil {
		return fmt.Errorf("peer credentials: %w", err)
	}
	if trusted() {
		return nil
	}
	if s.opt.Group >= 0 && (int(cred.Gid) == s.opt.Group || slices.Contains(groups, uint32(s.opt.Group))) {
		return nil
	}
	return fmt.Errorf("pid %d has uid %d, which is neither root nor in the daemon's group", cred.Pid, cred.Uid)
}

// peerGroups are the peer's supplementary groups (SO_PEERGROUPS, kernel 4.13); none when they cannot be had.
func peerGroups(fd int) []uint32 {
	buf := make([]byte, 4*65536) // NGROUPS_MAX
	size := uint32(len(buf))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
		uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return nil
	}
	var groups []uint32
	for b := buf[:size]; len(b) >= 4; b = b[4:] {
		groups = append(groups, binary.NativeEndian.Uint32(b))
	}
	return groups
}
