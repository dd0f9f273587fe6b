package deps

import (
	"maps"
	"slices"
	"testing"
)

// asking are what those who only ask the daemon are made of.
var asking = []string{"api", "api/client", "cmd/stack"}

// leaves are the packages of a room or of reconcile that are values, and may be linked by who asks: what crosses the socket is of them.
var leaves = []string{
	"reconcile/ask", "reconcile/desire", "reconcile/event", "reconcile/graph", "reconcile/history", "reconcile/label", "reconcile/output/severity", "reconcile/plan",
	"runtime/archive", "runtime/process", "runtime/sealed",
}

// heavy are libraries that the engine and its drivers are made of. Each costs the start of every program that links it.
var heavy = []string{
	"github.com/google/go-containerregistry/pkg/name", "github.com/google/go-containerregistry/pkg/v1/remote", "github.com/google/nftables", "github.com/klauspost/compress", "github.com/miekg/dns", "github.com/moby/buildkit", "github.com/moby/moby", "github.com/opencontainers/runtime-spec",
	"github.com/vishvananda/netlink", "go.etcd.io/bbolt", "google.golang.org/protobuf",
}

// daemons says whether p is the daemon's alone.
func daemons(p string) bool {
	return !slices.Contains(leaves, p) && (room(p) != "" || in(p, "build") || in(p, "reconcile") || in(p, "api/server") || in(p, "api/docker") || p == "internal/store" ||
		p == "cmd/stack/daemon" || p == "cmd/stack/inquiry/answer" || p == "cmd/stack/doctor/probe" || p == "cmd/stack/remote/artifact")
}

// TestWhoAsksLinksNoEngine: a command that asks the daemon has nothing of what answers, for it would pay for that at each start.
func TestWhoAsksLinksNoEngine(t *testing.T) {
	pkgs := load(t)
	for _, from := range slices.Concat(asking, leaves) {
		if pkgs[from] == nil {
			t.Errorf("there is no package %s", from)
		}
		for _, p := range linked(pkgs, from) {
			if daemons(p.path) {
				t.Errorf("%s links %s, which is the daemon's", from, p.path)
			}
			for _, to := range slices.Sorted(maps.Keys(p.imports)) {
				if slices.ContainsFunc(heavy, func(h string) bool { return in(to, h) }) {
					t.Errorf("%s links %s, by %s: it is of the daemon", from, to, p.path)
				}
			}
		}
	}
}
