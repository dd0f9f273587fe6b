package nft

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// A packet goes through the forward chains of every table, and one that drops is enough. Docker and ufw give the chain FORWARD of
// iptables the policy drop, and beside Docker, which turns br_netfilter on, even two containers of one bridge talk through it. So where such a chain is, the
// packets of our bridges are let through it: in DOCKER-USER, the chain that Docker keeps for others, or else at the head of the chain
// itself. Our own table goes on deciding what may pass.

// dockerUser is where Docker wants rules of others; it never flushes it (docs.docker.com/engine/network/packet-filtering-firewalls).
const dockerUser = "DOCKER-USER"

// Admit lets packets from and to our bridges through the chains of others that drop what they do not know. Idempotent.
func (f *Firewall) Admit() error {
	return f.foreign("let containers through", func(c *nftables.Conn, chains []*nftables.Chain) error {
		for _, ch := range droppers(chains) {
			have, err := f.ours(c, ch)
			if err != nil {
				return err
			}
			for _, r := range f.passes() {
				if find(have, r) == nil {
					c.InsertRule(&nftables.Rule{Table: ch.Table, Chain: ch, Exprs: r})
				}
			}
		}
		return c.Flush()
	})
}

// Withdraw removes the rules of Admit, wherever they are. Idempotent.
func (f *Firewall) Withdraw() error {
	return f.foreign("take back what let containers through", func(c *nftables.Conn, chains []*nftables.Chain) error {
		for _, ch := range chains {
			if !forwards(ch) && ch.Name != dockerUser {
				continue
			}
			have, err := f.ours(c, ch)
			if err != nil {
				return err
			}
			for _, r := range have {
				if err := c.DelRule(r); err != nil {
					return err
				}
			}
		}
		return c.Flush()
	})
}

// foreign does something to the chains of others. Precondition: f.mu is not held.
func (f *Firewall) foreign(what string, do func(*nftables.Conn, []*nftables.Chain) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.open()
	if err != nil {
		return err
	}
	chains, err := others(c)
	if err == nil {
		err = do(c, chains)
	}
	if err != nil {
		f.reset()
		return fmt.Errorf("cannot %s the host's other firewalls: %w", what, err)
	}
	return nil
}

// blocked names the first chain that drops what goes through our bridges, "" = none. Precondition: f.mu is held.
func (f *Firewall) blocked(c *nftables.Conn) (string, error) {
	chains, err := others(c)
	if err != nil {
		return "", err
	}
	for _, ch := range droppers(chains) {
		have, err := f.ours(c, ch)
		if err != nil {
			return "", err
		}
		for _, r := range f.passes() {
			if find(have, r) == nil {
				return fmt.Sprintf("%s of table %s %s", ch.Name, family(ch.Table), ch.Table.Name), nil
			}
		}
	}
	return "", nil
}

// others are the chains that are not of this program, of any instance.
func others(c *nftables.Conn) ([]*nftables.Chain, error) {
	all, err := c.ListChains()
	if err != nil {
		return nil, err
	}
	var out []*nftables.Chain
	for _, ch := range all {
		if !strings.HasPrefix(ch.Table.Name, tablePrefix) {
			out = append(out, ch)
		}
	}
	return out, nil
}

// forwards says whether ch is one that every forwarded packet of its family passes.
func forwards(ch *nftables.Chain) bool {
	return ch.Type == nftables.ChainTypeFilter && ch.Hooknum != nil && *ch.Hooknum == *nftables.ChainHookForward && family(ch.Table) != ""
}

// droppers are the chains that a rule has to be in, so that none of the base chains drops what it does not know.
func droppers(chains []*nftables.Chain) []*nftables.Chain {
	var out []*nftables.Chain
	for _, ch := range chains {
		if !forwards(ch) || ch.Policy == nil || *ch.Policy != nftables.ChainPolicyDrop {
			continue
		}
		at := ch
		for _, u := range chains {
			if u.Name == dockerUser && u.Table.Name == ch.Table.Name && u.Table.Family == ch.Table.Family {
				at = u
			}
		}
		out = append(out, at)
	}
	return out
}

func family(t *nftables.Table) string {
	return map[nftables.TableFamily]string{nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6", nftables.TableFamilyINet: "inet"}[t.Family]
}

// passes are the rules of Admit: what comes from a bridge of ours, and what goes to one. They are, expression by expression, what
// `iptables-nft -i sbX+ -j ACCEPT` writes, because iptables refuses to work on a table in which it finds a rule that it cannot read.
func (f *Firewall) passes() [][]expr.Any {
	var rules [][]expr.Any
	for _, side := range []expr.MetaKey{expr.MetaKeyOIFNAME, expr.MetaKeyIIFNAME} {
		rules = append(rules, []expr.Any{
			&expr.Meta{Key: side, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte(f.links)},
			&expr.Counter{},
			&expr.Verdict{Kind: expr.VerdictAccept},
		})
	}
	return rules
}

// ours are the rules of ch that Admit made.
func (f *Firewall) ours(c *nftables.Conn, ch *nftables.Chain) ([]*nftables.Rule, error) {
	all, err := c.GetRules(ch.Table, ch)
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []*nftables.Rule
	for _, r := range all {
		for _, mine := range f.passes() {
			if same(r.Exprs, mine) {
				out = append(out, r)
			}
		}
	}
	return out, nil
}

func find(rules []*nftables.Rule, exprs []expr.Any) *nftables.Rule {
	for _, r := range rules {
		if same(r.Exprs, exprs) {
			return r
		}
	}
	return nil
}

// same compares two rules of passes by the side that they look at and the prefix; counters have counted meanwhile.
func same(a, b []expr.Any) bool {
	if len(a) != len(b) || len(a) != 4 {
		return false
	}
	am, ok1 := a[0].(*expr.Meta)
	bm, ok2 := b[0].(*expr.Meta)
	ac, ok3 := a[1].(*expr.Cmp)
	bc, ok4 := b[1].(*expr.Cmp)
	av, ok5 := a[3].(*expr.Verdict)
	return ok1 && ok2 && ok3 && ok4 && ok5 && am.Key == bm.Key && ac.Op == bc.Op && bytes.Equal(ac.Data, bc.Data) && av.Kind == expr.VerdictAccept
}
