package network

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	harness "github.com/stackrun/stack/internal/sandbox"
)

// web is a container of a service that publishes port 8080.
func web(id, succeeds string, ports ...Port) SandboxConfig {
	if ports == nil {
		ports = []Port{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}}
	}
	return SandboxConfig{ContainerID: id, Succeeds: succeeds, Endpoints: []EndpointConfig{{Network: "n", Names: []string{"shop-web-1", "web"}}}, Ports: ports}
}

// clients ask each of where in a loop until stop, from their own namespaces, and count.
type clients struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	heard  map[string]map[string]int // where → who answered
	failed []error
}

func (c *clients) start(t *testing.T, asks map[string]func() (string, error)) {
	ctx, cancel := context.WithCancel(t.Context())
	c.cancel, c.heard = cancel, map[string]map[string]int{}
	t.Cleanup(cancel)
	for where, ask := range asks {
		c.heard[where] = map[string]int{}
		c.wg.Go(func() {
			for ctx.Err() == nil {
				got, err := ask()
				who, _, _ := strings.Cut(got, " ")
				c.mu.Lock()
				if err != nil || who == "" {
					c.failed = append(c.failed, fmt.Errorf("%s: %q, %w", where, got, errors.Join(err, errors.New("no answer"))))
				} else {
					c.heard[where][who]++
				}
				c.mu.Unlock()
			}
		})
	}
}

// answered waits until each client has been answered by who n times more.
func (c *clients) answered(t *testing.T, who string, n int) {
	t.Helper()
	c.mu.Lock()
	base := map[string]int{}
	for where, m := range c.heard {
		base[where] = m[who]
	}
	c.mu.Unlock()
	harness.Eventually(t, "every client is answered by "+who, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for where, m := range c.heard {
			if m[who] < base[where]+n {
				return false
			}
		}
		return true
	})
}

// stop ends the loops; none may have failed.
func (c *clients) stop(t *testing.T) {
	t.Helper()
	c.cancel()
	c.wg.Wait()
	if len(c.failed) > 0 {
		t.Errorf("%d requests failed, the first: %v", len(c.failed), c.failed[0])
	}
}

// chat serves TCP on port in the container: each line that comes is sent back after name.
func (b box) chat(port uint16, name string) {
	b.t.Helper()
	b.do(func() error {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		b.t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				b.t.Cleanup(func() { c.Close() })
				go func() {
					for in := bufio.NewScanner(c); in.Scan(); {
						fmt.Fprintf(c, "%s %s\n", name, in.Text())
					}
				}()
			}
		}()
		return nil
	})
}

// TestHandoverLosesNoConnection: during handovers there and back, clients over every way to the port get an answer each time,
// and a connection stays with the container that took it.
func TestHandoverLosesNoConnection(t *testing.T) {
	h := newHost(t)
	out := h.outside()
	h.network(Config{ID: "n"})
	talk := Port{HostPort: 8081, ContainerPort: 81, Protocol: "tcp"}
	ports := []Port{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}, talk}
	old := h.setup(web("old", "", ports...))
	old.greet(80, "old")
	old.chat(81, "old")
	client := h.box("client", "n")

	asks := map[string]func() (string, error){
		"outside":   func() (string, error) { return out.ask(hostAddr + ":8080") },
		"loopback":  func() (string, error) { return ask("127.0.0.1:8080") },
		"proxy":     func() (string, error) { return ask("[::1]:8080") },
		"container": func() (string, error) { return client.ask(client.Endpoints[0].Gateway4.String() + ":8080") },
		"host":      func() (string, error) { return ask(hostAddr + ":8080") },
	}
	var c clients
	c.start(t, asks)
	c.answered(t, "old", 5)

	long := map[string]net.Conn{}
	for _, at := range []string{"127.0.0.1:8081", "[::1]:8081", hostAddr + ":8081"} {
		conn, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		long[at] = conn
	}
	says := func(who string) {
		t.Helper()
		for at, conn := range long {
			conn.SetDeadline(time.Now().Add(harness.Patience))
			fmt.Fprintln(conn, "there?")
			if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != who+" there?\n" {
				t.Errorf("the connection over %s: %q, %v", at, line, err)
			}
		}
	}
	says("old")

	new := h.setup(web("new", "old", ports...))
	new.greet(80, "new")
	new.chat(81, "new")
	if !new.Waiting || len(new.Ports) != 0 {
		t.Errorf("before the handover: %+v", new.Sandbox)
	}
	if got := client.resolve("web"); !slices.Equal(got, []string{old.addr4().String()}) {
		t.Errorf("before the handover web is %v", got)
	}
	c.answered(t, "old", 5)
	for range 2 { // the second is nothing
		if err := h.Handover(t.Context(), "old", "new"); err != nil {
			t.Fatal(err)
		}
	}
	c.answered(t, "new", 20)
	says("old")
	if got := client.resolve("web"); !slices.Equal(got, []string{new.addr4().String()}) {
		t.Errorf("after the handover web is %v", got)
	}

	// And back, with the old one as its successor's successor.
	back, err := h.Sandboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range back {
		if b.ContainerID == "old" && !b.Relieved || b.ContainerID == "new" && (b.Waiting || len(b.Ports) != 2) {
			t.Errorf("after the handover: %+v", b)
		}
	}
	if err := h.Handover(t.Context(), "new", "old"); err != nil {
		t.Fatal(err)
	}
	c.answered(t, "old", 20)
	if err := h.Handover(t.Context(), "old", "new"); err != nil {
		t.Fatal(err)
	}
	c.answered(t, "new", 20)
	says("old")
	if err := h.Teardown(t.Context(), "old"); err != nil {
		t.Fatal(err)
	}
	c.answered(t, "new", 20)
	c.stop(t)
}

// TestHandoverMatchesPorts: what the successor gets, what stays, what is new.
func TestHandoverMatchesPorts(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "n"})
	host := netip.MustParseAddr("127.0.0.1")
	old := h.setup(web("old", "", Port{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}, Port{HostPort: 9000, HostPortEnd: 9003, ContainerPort: 90, Protocol: "tcp"},
		Port{ContainerPort: 70, Protocol: "tcp"}, Port{HostPort: 8080, ContainerPort: 80, Protocol: "udp"}, Port{HostIP: host, HostPort: 7000, ContainerPort: 7, Protocol: "tcp"}))
	random := old.Ports[2].HostPort
	h.setup(web("new", "old", Port{HostPort: 8080, ContainerPort: 81, Protocol: "tcp"}, Port{HostPort: 9000, HostPortEnd: 9003, ContainerPort: 90, Protocol: "tcp"},
		Port{ContainerPort: 70, Protocol: "tcp"}, Port{HostPort: 8090, ContainerPort: 80, Protocol: "tcp"}))
	if err := h.Handover(t.Context(), "old", "new"); err != nil {
		t.Fatal(err)
	}
	ports := func(id string) (got []string) {
		boxes, err := h.Sandboxes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range boxes {
			if b.ContainerID == id {
				if !b.Healthy {
					t.Errorf("%s: %s", id, b.Problem)
				}
				for _, p := range b.Ports {
					got = append(got, fmt.Sprintf("%d->%d/%s", p.HostPort, p.ContainerPort, p.Protocol))
				}
			}
		}
		slices.Sort(got)
		return got
	}
	want := []string{fmt.Sprintf("%d->70/tcp", random), "8080->81/tcp", "8090->80/tcp", "9000->90/tcp"}
	slices.Sort(want)
	if got := ports("new"); !slices.Equal(got, want) {
		t.Errorf("new has %v, expected %v", got, want)
	}
	if got := ports("old"); !slices.Equal(got, []string{"7000->7/tcp", "8080->80/udp"}) {
		t.Errorf("old has %v", got)
	}
	if err := h.Handover(t.Context(), "old", "nobody"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("to nobody: %v", err)
	}
	if err := h.Handover(t.Context(), "gone", "new"); err != nil {
		t.Errorf("from somebody who is gone: %v", err)
	}
}

// TestHandoverAfterItsPredecessorIsGone: what nobody hands over is taken.
func TestHandoverAfterItsPredecessorIsGone(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "n"})
	h.setup(web("old", ""))
	new := h.setup(web("new", "old"))
	new.greet(80, "new")
	if err := h.Teardown(t.Context(), "old"); err != nil {
		t.Fatal(err)
	}
	if err := h.Handover(t.Context(), "old", "new"); err != nil {
		t.Fatal(err)
	}
	if got, err := ask("127.0.0.1:8080"); err != nil || !strings.HasPrefix(got, "new") {
		t.Errorf("%q, %v", got, err)
	}
}

// TestHandoverAfterACrash: the next driver has one owner for the port, whatever was written.
func TestHandoverAfterACrash(t *testing.T) {
	for _, tt := range []struct {
		name string
		half bool // only the successor's record was written
	}{{"before", false}, {"in its middle", true}} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			h.network(Config{ID: "n"})
			old := h.setup(web("old", ""))
			old.greet(80, "old")
			new := h.setup(web("new", "old"))
			new.greet(80, "new")
			if tt.half {
				before, _ := h.book.Record("old")
				if err := h.Handover(t.Context(), "old", "new"); err != nil {
					t.Fatal(err)
				}
				if err := h.records.PutSandbox(before); err != nil {
					t.Fatal(err)
				}
			}
			if err := h.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			h.start()
			want := map[bool]string{false: "old", true: "new"}[tt.half]
			if got, err := ask("127.0.0.1:8080"); err != nil || !strings.HasPrefix(got, want) {
				t.Errorf("after the crash: %q, %v", got, err)
			}
			if err := h.Handover(t.Context(), "old", "new"); err != nil {
				t.Fatal(err)
			}
			for _, at := range []string{"127.0.0.1:8080", "[::1]:8080"} {
				if got, err := ask(at); err != nil || !strings.HasPrefix(got, "new") {
					t.Errorf("%s: %q, %v", at, got, err)
				}
			}
		})
	}
}

// TestUDPMeetsTheSuccessor: a client that keeps sending from one port stays with the old container until that is gone.
func TestUDPMeetsTheSuccessor(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "n"})
	port := Port{HostPort: 5353, ContainerPort: 53, Protocol: "udp"}
	for _, c := range []struct{ name, succeeds string }{{"old", ""}, {"new", "old"}} {
		h.setup(web(c.name, c.succeeds, port)).answers(53, func(net.Addr) string { return c.name })
	}
	answers := map[string]func() string{}
	for _, at := range []string{"127.0.0.1:5353", "[::1]:5353"} {
		conn, err := net.Dial("udp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		answers[at] = func() string {
			buf := make([]byte, 10)
			conn.Write([]byte("?"))
			conn.SetReadDeadline(time.Now().Add(harness.Patience))
			n, _ := conn.Read(buf)
			return string(buf[:n])
		}
	}
	expect := func(who, when string) {
		t.Helper()
		for at, answer := range answers {
			if got := answer(); got != who {
				t.Errorf("%s, %s: %q", at, when, got)
			}
		}
	}
	expect("old", "before the handover")
	if err := h.Handover(t.Context(), "old", "new"); err != nil {
		t.Fatal(err)
	}
	expect("old", "after the handover")
	if err := h.Teardown(t.Context(), "old"); err != nil {
		t.Fatal(err)
	}
	expect("new", "after the old one's end")
}
