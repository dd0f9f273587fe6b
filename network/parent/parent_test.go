package parent

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	harness "github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/rtnl"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// recorded are networks that there are.
type recorded []record.Network

func (r recorded) Records() []record.Network { return r }

func parents(t *testing.T, networks ...record.Network) *Parents {
	t.Helper()
	harness.Require(t)
	harness.LeavesNothing(t)
	link, err := rtnl.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(link.Close)
	return New(link, "00112233", recorded(networks))
}

func TestKindThatTheKernelLacks(t *testing.T) {
	p := parents(t)
	if err := p.hasKind("stack-nothing"); !errors.Is(err, errdefs.ErrNotSupported) || !strings.Contains(err.Error(), "no links of kind stack-nothing") || !strings.Contains(err.Error(), "modprobe") {
		t.Error(err)
	}
	if err := p.hasKind("bridge"); err != nil {
		t.Error(err)
	}
	if _, err := netlink.LinkByName(p.names.Probe()); err == nil {
		t.Error("the question has left a link")
	}
}

func TestWhatTheKernelSaysOfAParent(t *testing.T) {
	p := parents(t).Macvlan()
	harness.LinkKind(t, definition.Macvlan)
	on := func(mode string) record.Network {
		return record.Network{Link: "lan0", Config: definition.Config{Driver: definition.Macvlan, DriverOpts: map[string]string{definition.OptParent: "lan0", definition.OptMacvlanMode: mode}}}
	}
	bridge, sole := on("bridge"), on(definition.Passthru)
	if err := p.explain(unix.EOPNOTSUPP, bridge); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("of a kind that this kernel has: %v", err)
	}
	if err := p.explain(unix.EINVAL, sole); !errors.Is(err, errdefs.ErrConflict) || !strings.Contains(err.Error(), "room for one container") {
		t.Error(err)
	}
	for _, x := range []struct {
		r    record.Network
		err  error
		want bool
	}{{bridge, unix.EBUSY, true}, {bridge, unix.EADDRINUSE, true}, {bridge, unix.EINVAL, false}, {bridge, nil, false}, {sole, p.explain(unix.EINVAL, sole), true}, {sole, unix.EPERM, false}} {
		if got := p.busy(x.r)(x.err); got != x.want {
			t.Errorf("%v in mode %q is busy: %v", x.err, x.r.Config.MacvlanMode(), got)
		}
	}
}

// A parent that was made goes with the last network that is on it: not with one of two, and not with one of a name that was made anew meanwhile.
func TestSharedParent(t *testing.T) {
	on := func(id, link string, deleting bool) record.Network {
		return record.Network{Config: definition.Config{ID: id}, Link: link, Made: true, Deleting: deleting}
	}
	gone, live := on("n", "eth0.10", true), on("n", "eth0.10", false)
	for what, c := range map[string]struct {
		r        record.Network
		networks []record.Network
		want     bool
	}{
		"it is the last":             {gone, []record.Network{gone, on("other", "eth0.11", false)}, false},
		"its making is undone":       {live, []record.Network{live}, false},
		"another is on it":           {gone, []record.Network{gone, on("other", "eth0.10", false)}, true},
		"another is being deleted":   {gone, []record.Network{gone, on("other", "eth0.10", true)}, false},
		"it was made anew meanwhile": {gone, []record.Network{gone, live}, true},
	} {
		if got := shared(c.r, c.networks); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
	}
}
