package definition

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stackrun/stack/internal/errdefs"
)

// on is a network with a parent, and options by name and value.
func on(driver, parent string, opts ...string) Config {
	c := Config{ID: "lan", Driver: driver, IPv4: true, DriverOpts: map[string]string{OptParent: parent}}
	for pair := range slices.Chunk(opts, 2) {
		c.DriverOpts[pair[0]] = pair[1]
	}
	return c
}

// refused expects an error of kind with all of words.
func refused(t *testing.T, err, kind error, words ...string) {
	t.Helper()
	if !errors.Is(err, kind) || slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(fmt.Sprint(err), w) }) {
		t.Errorf("got %v; expected %v with %q", err, kind, words)
	}
}

func TestBeside(t *testing.T) {
	for _, x := range []struct {
		a, b  Config
		words string
	}{
		{on(Macvlan, "lan0"), on(Macvlan, "lan0"), ""},
		{on(Macvlan, "lan0"), on(IPvlan, "lan1"), ""},
		{on(Macvlan, ""), on(IPvlan, ""), ""},
		{on(Macvlan, "lan0"), on(Bridge, "lan0"), ""}, // which has no such option
		{on(Macvlan, "lan0"), on(IPvlan, "lan0"), "of driver ipvlan"},
		{on(IPvlan, "lan0"), on(IPvlan, "lan0"), "one network"},
		{on(Macvlan, "lan0"), on(Macvlan, "lan0", OptMacvlanMode, Passthru), "for itself"},
	} {
		switch err := x.a.Beside(x.b); {
		case x.words == "" && err != nil:
			t.Error(err)
		case x.words != "":
			refused(t, err, errdefs.ErrConflict, `network "lan" has the parent lan0 too`, x.words)
			if OptionOf(err) != OptParent {
				t.Errorf("%v is about option %q", err, OptionOf(err))
			}
		}
	}
}

func TestUnknownOptions(t *testing.T) {
	c := on(Macvlan, "lan0", "ipvlan_mode", "l2", "a", "b", OptMacvlanMode, "vepa", OptIPv6, "true")
	if got := fmt.Sprint(c.UnknownOptions()); got != "[a ipvlan_mode]" {
		t.Error(got)
	}
}

func TestIPvlanHasNoMACs(t *testing.T) {
	ep := EndpointConfig{Network: "lan", MAC: "02:42:ac:11:65:43"}
	refused(t, on(IPvlan, "lan0").CheckEndpoint(ep), errdefs.ErrInvalidArgument, "02:42:ac:11:65:43", "macvlan")
	if err := on(Macvlan, "lan0").CheckEndpoint(ep); err != nil {
		t.Error(err)
	}
}

func TestInterfaceSysctls(t *testing.T) {
	for text, words := range map[string]string{"net.ipv4.conf.eth0.x=1": "IFNAME", "net.ipv4.conf.IFNAME.log_martians": "VALUE", "kernel.a.b.IFNAME.c=1": "net.", "net.ipv4.conf.IFNAME./x=1": "expected"} {
		_, err := InterfaceSysctls(text)
		refused(t, err, errdefs.ErrInvalidArgument, words)
	}
	want := map[string]string{"net.ipv4.conf.IFNAME.log_martians": "1", "net.ipv4.conf.IFNAME.rp_filter": "2"}
	if got, err := InterfaceSysctls("net.ipv4.conf.IFNAME.log_martians=1, net.ipv4.conf.IFNAME.rp_filter=2"); err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}
