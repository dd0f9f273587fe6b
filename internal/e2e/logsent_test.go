package e2e

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	dc "github.com/moby/moby/api/types/container"
)

// collector is a receiver of syslog by TCP, which can go and come back.
type collector struct {
	t       *testing.T
	address string

	reading sync.WaitGroup // connections

	in net.Listener

	mu    sync.Mutex
	lines []string
}

func collect(t *testing.T) *collector {
	c := &collector{t: t, address: "127.0.0.1:0"}
	c.listen()
	c.address = c.in.Addr().String()
	t.Cleanup(func() { c.in.Close() })
	return c
}

func (c *collector) listen() {
	c.t.Helper()
	in, err := net.Listen("tcp", c.address)
	if err != nil {
		c.t.Fatal(err)
	}
	c.in = in
	go func() {
		for {
			conn, err := in.Accept()
			if err != nil {
				return
			}
			c.reading.Go(func() {
				defer conn.Close()
				for s := bufio.NewScanner(conn); s.Scan(); {
					c.mu.Lock()
					c.lines = append(c.lines, s.Text())
					c.mu.Unlock()
				}
			})
		}
	}()
}

// leave goes when it has read all that a sender which is gone has sent.
func (c *collector) leave() {
	c.in.Close()
	c.reading.Wait()
}

// has are the texts of the lines so far, behind tag.
func (c *collector) has(tag string) (texts []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range c.lines {
		if head, text, ok := strings.Cut(line, "]: "); ok && strings.Contains(head, tag+"[") {
			texts = append(texts, text)
		}
	}
	return texts
}

// TestLogIsSent: what a container writes comes to its receiver, each line at least once and in order, though the daemon is killed, and the receiver goes, in the middle of it; the last line too,
// written just before a down.
func TestLogIsSent(t *testing.T) {
	h := ownHost(t)
	h.startDaemon(t)
	c := collect(t)
	p := &project{t: t, host: h, name: "sent", dir: filepath.Join(t.TempDir(), "sent")}
	p.write("compose.yaml", `
services:
  ticker:
    image: busybox
    command: ["sh", "-c", "i=0; while ! test -e /go/stop; do i=$$((i+1)); echo tick $$i; echo $$i >/go/at; sleep 0.01; done; echo last"]
    volumes: ["./go:/go"]
    logging:
      driver: syslog
      options: {syslog-address: "tcp://`+c.address+`", tag: "{{.Name}}"}
`)
	p.write("go/x", "")
	t.Cleanup(p.takeDownWholly)
	r := p.run("up", "--detach")
	if r.code != 0 || strings.Contains(r.stderr, "Log not sent") {
		t.Fatalf("up: %s", r)
	}
	const tag = "sent-ticker-1"
	at := func() int {
		b, _ := os.ReadFile(filepath.Join(p.dir, "go/at"))
		n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
		return n
	}
	p.eventually("lines come", func() bool { return len(c.has(tag)) > 20 })
	h.killDaemon(t)
	c.leave()
	n := at()
	p.eventually("the container writes on", func() bool { return at() > n+20 })
	h.startDaemon(t)
	p.eventually("it is said that the receiver is away", func() bool {
		return strings.Contains(p.ok("why", "ticker"), "syslog at tcp://"+c.address+": cannot reach it: ")
	})
	n = at()
	c.listen()
	p.eventually("what was written meanwhile comes, and more", func() bool {
		return slices.Contains(c.has(tag), "tick "+strconv.Itoa(n+20))
	})
	p.write("go/stop", "")
	p.eventually("the container ends", func() bool { return p.one(tag).State == "exited" })
	p.ok("down", "--volumes")
	p.eventually("the last line comes", func() bool {
		all := c.has(tag)
		return all[len(all)-1] == "last"
	})
	next := 1
	for _, text := range c.has(tag) {
		if k, err := strconv.Atoi(strings.TrimPrefix(text, "tick ")); err == nil && k < next {
			continue // once more
		}
		if want := "tick " + strconv.Itoa(next); text != want && text != "last" {
			t.Fatalf("%q came, not %q", text, want)
		}
		next++
	}
	if next-2 != at() {
		t.Errorf("%d lines came, the container has written %d", next-2, at())
	}
}

// TestLogOfShortLivesIsSent: of containers that go with their end the last line comes too, whoever has made them; and who starts one is told that its receiver is away, whose lines are then told to be lost.
func TestLogOfShortLivesIsSent(t *testing.T) {
	h := ownHost(t)
	h.startDaemon(t)
	h.warmUp(t)
	c := collect(t)
	p := &project{t: t, host: h, name: "short", dir: filepath.Join(t.TempDir(), "short")}
	p.write("compose.yaml", `
services:
  task:
    image: busybox
    command: ["sh", "-c", "seq 1000; echo end >&2"]
    logging:
      driver: syslog
      options: {syslog-address: "tcp://`+c.address+`", tag: "{{.ImageName}}"}
`)
	t.Cleanup(p.takeDownWholly)
	p.ok("run", "--rm", "task")
	p.eventually("the end of a run comes", func() bool { all := c.has("busybox"); return len(all) == 1001 && all[1000] == "end" })

	a := newEngineAPI(t, h)
	a.create("alone", "seq 500", func(_ *dc.Config, h *dc.HostConfig) {
		h.AutoRemove = true
		h.LogConfig = dc.LogConfig{Type: "syslog", Config: map[string]string{"syslog-address": "tcp://" + c.address, "tag": "{{.Name}}"}}
	})
	a.start("alone")
	a.eventually("alone", "gone")
	p.eventually("all of it comes", func() bool { all := c.has("alone"); return len(all) == 500 && all[499] == "500" })

	c.in.Close()
	contains(t, "up", p.run("up", "--detach").stderr, "Log not sent", "syslog at tcp://"+c.address+": ")
	p.ok("wait", "task")
	contains(t, "down", p.run("down").stderr, "Log not sent", "bytes are lost to it")
}
