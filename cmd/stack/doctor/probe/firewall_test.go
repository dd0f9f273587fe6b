package probe

import (
	"strings"
	"testing"

	"github.com/google/nftables"

	"github.com/stackrun/stack/cmd/stack/doctor"
	"github.com/stackrun/stack/internal/sandbox"
)

// Docker and ufw leave the policy of FORWARD at drop.
func TestFirewallThatDropsIsTold(t *testing.T) {
	sandbox.Require(t)
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	drop := nftables.ChainPolicyDrop
	chain := func(family nftables.TableFamily, table, name string, hook *nftables.ChainHook) *nftables.Table {
		made := c.AddTable(&nftables.Table{Family: family, Name: table})
		c.AddChain(&nftables.Chain{
			Name: name, Table: made, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityFilter, Policy: &drop,
		})
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.DelTable(made); c.Flush() })
		return made
	}
	if got := checkFirewall(); got.State != doctor.OK {
		t.Fatalf("without chains: %+v", got)
	}
	chain(nftables.TableFamilyINet, "stack-x", "forward", nftables.ChainHookForward)
	if got := checkFirewall(); got.State != doctor.OK {
		t.Errorf("with stack's own: %+v", got)
	}
	chain(nftables.TableFamilyIPv4, "filter", "FORWARD", nftables.ChainHookForward)
	if got := checkFirewall(); got.State != doctor.Warning || !strings.Contains(got.Detail, "ip filter FORWARD") || !strings.Contains(got.Fix, "iptables -I FORWARD -i sb+") {
		t.Errorf("with Docker's: %+v", got)
	}
	chain(nftables.TableFamilyINet, "mine", "fwd", nftables.ChainHookForward)
	if got := checkFirewall(); !strings.Contains(got.Fix, "nft insert rule inet mine fwd") {
		t.Errorf("with somebody's: %+v", got)
	}
}
