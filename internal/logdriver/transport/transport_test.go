package transport

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/logdriver"
	"github.com/stackrun/stack/internal/sandbox"
)

// pair is a connection and the receiver's end of it.
func pair(t *testing.T, network string) (*Conn, net.Conn) {
	t.Helper()
	address := map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "log")}[network]
	in, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	a := logdriver.Address{Scheme: network, Path: in.Addr().String()}
	if network == "tcp" {
		a = logdriver.Address{Scheme: network, Host: in.Addr().String()}
	}
	out, err := Dial(t.Context(), a, logdriver.TLS{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	peer, err := in.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	return out, peer
}

func write(t *testing.T, c *Conn, n int) {
	t.Helper()
	if _, err := c.Write(make([]byte, n)); err != nil {
		t.Fatal(err)
	}
}

// What is written waits until it is received: by the kernel of a TCP peer, by the process at a socket of this host.
func TestFlow(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		c, peer := pair(t, network)
		write(t, c, 1000)
		written, waiting, err := c.Flow()
		if err != nil || network == "tcp" && written != 1000 || network == "unix" && (waiting < 1000 || written != waiting) {
			t.Errorf("%s: %d of %d bytes wait, %v", network, waiting, written, err)
		}
		write(t, c, 500)
		if _, err := io.ReadFull(peer, make([]byte, 1500)); err != nil {
			t.Fatal(err)
		}
		sandbox.Within(func() bool {
			written, waiting, err = c.Flow()
			return err != nil || waiting == 0
		})
		if err != nil || network == "tcp" && written != 1500 || waiting != 0 {
			t.Errorf("%s: %d of %d bytes wait when they are read, %v", network, waiting, written, err)
		}
		c.Close()
		if _, _, err := c.Flow(); err == nil {
			t.Errorf("%s: a closed connection says what waits", network)
		}
	}
}

// What the process at a socket has not read when it goes has not been received.
func TestFlowOfUnread(t *testing.T) {
	c, peer := pair(t, "unix")
	write(t, c, 1000)
	peer.Close()
	if written, waiting, err := c.Flow(); err == nil && waiting < 1000 {
		t.Errorf("%d of %d bytes wait", waiting, written)
	}
}

// Of many short lines it is known which a process has read, while others wait.
func TestFlowOfLines(t *testing.T) {
	c, peer := pair(t, "unix")
	const size, read = 40, 60
	var up int64
	for i := range 100 {
		write(t, c, size)
		if i+1 == read {
			up, _, _ = c.Flow()
		}
	}
	if _, err := io.ReadFull(peer, make([]byte, read*size)); err != nil {
		t.Fatal(err)
	}
	if written, waiting, err := c.Flow(); err != nil || written-waiting != up {
		t.Errorf("%d of %d wait, %v: want %d", waiting, written, err, written-up)
	}
}

// paced is a connection on which no time goes by: who would wait has waited too long, and before the next wait the peer may take something.
type paced struct {
	*net.UnixConn
	next func()
}

func (p *paced) Write(b []byte) (done int, _ error) {
	raw, err := p.SyscallConn()
	if err != nil {
		return 0, err
	}
	var fault error
	err = raw.Write(func(fd uintptr) bool {
		for done < len(b) && fault == nil {
			var n int
			n, fault = unix.Write(int(fd), b[done:])
			done += max(n, 0)
		}
		return true
	})
	if errors.Is(fault, unix.EAGAIN) {
		fault = os.ErrDeadlineExceeded
	}
	return done, errors.Join(err, fault)
}

func (p *paced) SetWriteDeadline(time.Time) error {
	p.next()
	return nil
}

// A receiver that takes something in each wait is there, however long all of it takes; one that takes nothing is not.
func TestSlowReceiver(t *testing.T) {
	const size = 2 << 20
	for name, tt := range map[string]struct {
		reads int // waits in which the receiver reads
		there bool
	}{"slow": {size, true}, "stops": {5, false}, "away": {0, false}} {
		t.Run(name, func(t *testing.T) {
			c, peer := pair(t, "unix")
			waits := 0
			c.raw.Conn = &paced{c.raw.Conn.(*net.UnixConn), func() {
				if waits++; waits == 1 || waits > tt.reads+1 { // the first is before anything is written
					return
				}
				if _, err := peer.Read(make([]byte, 64<<10)); err != nil {
					t.Error(err)
				}
			}}
			n, err := c.Write(make([]byte, size))
			if tt.there {
				if n != size || err != nil || waits < 20 {
					t.Errorf("%d of %d bytes were written in %d waits: %v", n, size, waits, err)
				}
			} else if !errors.Is(err, os.ErrDeadlineExceeded) || waits > tt.reads+3 || n == size {
				t.Errorf("%d of %d bytes were written in %d waits: %v", n, size, waits, err)
			}
		})
	}
}
