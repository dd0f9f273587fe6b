package monitor

import (
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/proto"
)

// server is who listens on the socket, and the clients that have attached.
type server struct {
	m        *monitor
	listener *os.File
	fd       int       // of listener
	first    sync.Once // closes m.attached
	writers  sync.WaitGroup

	mu      sync.Mutex
	clients map[*client]struct{}
	serving int // connections that were accepted, and not left to their writers yet
	closed  bool
}

// listen makes the socket. Its name is given through /proc/self/fd, because sun_path has 108 bytes (unix(7)) and the
// run directory's path may have more.
func (m *monitor) listen() error {
	m.server = &server{m: m, clients: map[*client]struct{}{}}
	dir, err := unix.Open(m.b.RunDir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	// A monitor that was killed leaves its socket behind.
	if err := unix.Unlinkat(dir, proto.SocketName, 0); err != nil && err != unix.ENOENT {
		return err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	old := unix.Umask(0o077)
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(dir) + "/" + proto.SocketName})
	unix.Umask(old)
	if err == nil {
		err = unix.Listen(fd, 16)
	}
	if err != nil {
		unix.Close(fd)
		return err
	}
	m.server.take(fd)
	return nil
}

// take takes the socket fd, which listens.
func (s *server) take(fd int) { s.fd, s.listener = fd, os.NewFile(uintptr(fd), "attach") }

func (s *server) accept() {
	conn, err := s.listener.SyscallConn()
	if err != nil {
		return
	}
	for {
		fd := -1
		err := conn.Read(func(l uintptr) bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			var err error
			if fd, _, err = unix.Accept4(int(l), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK); err == nil {
				s.serving++
			}
			return err != unix.EAGAIN
		})
		if err != nil {
			return // closed
		}
		if fd >= 0 {
			go s.serve(os.NewFile(uintptr(fd), "client"))
		}
	}
}

// add makes c a client, from the next byte of output on.
func (s *server) add(c *client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.clients[c] = struct{}{}
	s.writers.Go(c.write)
	return true
}

func (s *server) drop(c *client) {
	s.mu.Lock()
	delete(s.clients, c)
	s.mu.Unlock()
	c.abort()
}

// broadcast gives a frame to every client. It waits for one that is slow, but not for ever: see client.send.
func (s *server) broadcast(kind byte, data []byte) {
	s.mu.Lock()
	if len(s.clients) == 0 {
		s.mu.Unlock()
		return
	}
	all := make([]*client, 0, len(s.clients))
	for c := range s.clients {
		all = append(all, c)
	}
	s.mu.Unlock()
	frame := make([]byte, frameHeader, frameHeader+len(data))
	putHeader(frame, kind, len(data))
	frame = append(frame, data...)
	for _, c := range all {
		if !c.send(frame) {
			s.drop(c)
		}
	}
}

// close takes no more clients, lets those that there are have the rest of the output, and ends their connections.
func (s *server) close() {
	if s == nil || s.listener == nil {
		return
	}
	s.listener.Close()
	s.mu.Lock()
	s.closed = true
	for c := range s.clients {
		c.end()
	}
	s.mu.Unlock()
	s.writers.Wait()
}
