package probe

import (
	"fmt"
	"strings"

	"github.com/google/nftables"

	"github.com/stackrun/stack/cmd/stack/doctor"
)

// checkFirewall looks for other programs' chains that drop forwarded packets unless a rule of theirs lets them pass. A
// verdict of ours cannot overrule that: a packet passes when every chain of the hook accepts it
// (nft(8), "VERDICT STATEMENT": accept ends the evaluation of the chain, drop that of all).
func checkFirewall() doctor.Check {
	c, err := nftables.New()
	if err != nil {
		return warning("firewall", "ask again as root", "cannot be read: %v", err)
	}
	chains, err := c.ListChains()
	if err != nil {
		return warning("firewall", "ask again as root", "cannot be read: %v", err)
	}
	return firewall(chains)
}

// firewall judges chains.
func firewall(chains []*nftables.Chain) doctor.Check {
	var dropping []string
	for _, ch := range chains {
		if ch.Hooknum == nil || *ch.Hooknum != *nftables.ChainHookForward || ch.Policy == nil || *ch.Policy != nftables.ChainPolicyDrop {
			continue
		}
		switch ch.Table.Family {
		case nftables.TableFamilyIPv4, nftables.TableFamilyIPv6, nftables.TableFamilyINet:
			if !strings.HasPrefix(ch.Table.Name, "stack-") {
				dropping = append(dropping, fmt.Sprintf("%s %s %s", family(ch.Table.Family), ch.Table.Name, ch.Name))
			}
		}
	}
	if len(dropping) == 0 {
		return ok("firewall", "no other chain drops what is forwarded")
	}
	return warning("firewall", firewallFix(dropping),
		"%s drops what it does not know: containers do not reach other hosts, and those do not reach published ports", strings.Join(dropping, ", "))
}

func family(f nftables.TableFamily) string {
	switch f {
	case nftables.TableFamilyIPv4:
		return "ip"
	case nftables.TableFamilyIPv6:
		return "ip6"
	}
	return "inet"
}

// firewallFix is what lets stack's bridges (sb<instance>-<n>) through. iptables-nft keeps its chains in tables called filter:
// Docker's and ufw's are there. What stack isolates stays isolated: its own table drops that.
func firewallFix(dropping []string) string {
	var fixes []string
	for _, d := range dropping {
		tool := map[string]string{"ip filter FORWARD": "iptables", "ip6 filter FORWARD": "ip6tables"}[d]
		if tool == "" {
			fixes = append(fixes, fmt.Sprintf("run `nft insert rule %s iifname \"sb*\" accept` and `nft insert rule %s oifname \"sb*\" accept`", d, d))
			continue
		}
		fixes = append(fixes, fmt.Sprintf("run `%s -I FORWARD -i sb+ -j ACCEPT` and `%s -I FORWARD -o sb+ -j ACCEPT` (Docker or ufw made this policy; with ufw put them into before.rules)", tool, tool))
	}
	return strings.Join(fixes, "; ")
}
