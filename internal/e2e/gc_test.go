package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"
)

// timeout is patience for a command of t's own.
func timeout(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), 2*patience)
}

// buffer is written by a command and read meanwhile.
type buffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestGC: nothing on a clean host, nothing after kills in the middle of things, and what somebody has lost is found and removed, and nothing
// else.
func TestGC(t *testing.T) {
	h, p := newTwoServices(t, "garbage")
	clean := func(when string) {
		t.Helper()
		if r := p.run("gc", "--check"); r.code != 0 || !strings.Contains(r.stdout, "nothing to remove") {
			t.Errorf("%s: %s", when, r)
		}
	}
	clean("at first")
	p.up()
	clean("with a project")
	// Kills in the middle of an up: when the first of what it makes is there.
	for _, made := range []string{h.run("network", "networks"), h.state("snapshots"), h.run("netns"), h.run("containers")} {
		p.ok("down", "--timeout", "0")
		anything := func() bool {
			entries, err := os.ReadDir(made)
			return err == nil && len(entries) > 0
		}
		p.eventually("there is nothing in "+made, func() bool { return !anything() })
		ctx, cancel := timeout(t)
		up := h.command(ctx, p.dir, "up", "--detach")
		if err := up.Start(); err != nil {
			t.Fatal(err)
		}
		p.eventually("the up makes something in "+made, anything)
		h.killDaemon(t)
		up.Wait() //nolint:errcheck // its daemon was killed
		cancel()
		h.startDaemon(t)
		clean("after a kill when there was something in " + made)
		p.up()
	}

	// What nobody has any more, without a crash of ours: somebody else's mistake.
	id := strings.Repeat("ab", 32)
	for _, dir := range []string{h.state("snapshots", id, "upper"), h.state("containers", id), h.run("containers", id), h.state("logs", "gone"), h.state("volumes", ".making-x"),
		h.state("images", "tmp", "half"), h.state("images", "layers", "sha256", id)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, h.run("netns", id), "")
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: h.strayLink(t)}}
	if err := netlink.LinkAdd(bridge); err != nil {
		t.Fatal(err)
	}
	before := p.ps()
	r := p.run("gc", "--check")
	if r.code != 2 {
		t.Errorf("%s", r)
	}
	contains(t, "gc --check", r.stdout, "snapshot "+id, h.state("containers", id), h.run("containers", id), h.state("logs", "gone"), ".making-x", filepath.Join("tmp", "half"),
		filepath.Join("layers", "sha256", id), h.run("netns", id), bridge.Name, "9 to remove")
	contains(t, "gc", p.ok("gc", "--format", "json"), `"removed": true`, bridge.Name)
	clean("afterwards")
	if _, err := netlink.LinkByName(bridge.Name); err == nil {
		t.Error("the bridge is still there")
	}
	if after := p.ps(); after["garbage-web-1"].ID != before["garbage-web-1"].ID || after["garbage-web-1"].State != "running" {
		t.Errorf("it took what is somebody's: %+v", after)
	}
	if r := p.run("drift"); r.code != 0 {
		t.Errorf("%s", r)
	}
}

// strayLink is a name that a bridge of h's instance could have and none has.
func (h *host) strayLink(t *testing.T) string {
	t.Helper()
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if name := l.Attrs().Name; l.Type() == "bridge" && strings.HasPrefix(name, "sb") {
			return name[:8] + "ffff" // sb and the instance
		}
	}
	t.Fatal("no bridge of the instance is there")
	return ""
}
