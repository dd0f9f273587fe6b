package transport

import (
	"io"
	"net"
	"path/filepath"
	"testing"

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
