package nft

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// schema is the table with its sets. Set ids tie lookups to sets inside one batch; outside of it the kernel goes by name.
type schema struct {
	table                         *nftables.Table
	bridges, internal, masq, same *nftables.Set
	fwd4, fwd4any, fwd6, fwd6any  *nftables.Set
	self4, self6                  *nftables.Set
	guests4, guests6              *nftables.Set

	rules map[string]int // by chain, how many create queued
}

func newSchema(name string) *schema {
	t := &nftables.Table{Name: name, Family: nftables.TableFamilyINet}
	var id uint32
	set := func(name string, key ...nftables.SetDatatype) *nftables.Set {
		id++
		s := &nftables.Set{Table: t, ID: id, Name: name, KeyType: nftables.MustConcatSetType(key...)}
		if len(key) == 1 && key[0] == nftables.TypeIFName {
			s.KeyByteOrder = binaryutil.NativeEndian // for nft(8), which would list names as empty
		}
		return s
	}
	forwards := func(name string, addr nftables.SetDatatype, key ...nftables.SetDatatype) *nftables.Set {
		m := set(name, append(key, nftables.TypeInetProto, nftables.TypeInetService)...)
		m.IsMap = true
		m.DataType = nftables.MustConcatSetType(addr, nftables.TypeInetService)
		return m
	}
	v4, v6 := nftables.TypeIPAddr, nftables.TypeIP6Addr
	return &schema{
		table:    t,
		bridges:  set("bridges", nftables.TypeIFName),
		internal: set("internal", nftables.TypeIFName),
		masq:     set("masq", nftables.TypeIFName),
		same:     set("same", nftables.TypeIFName, nftables.TypeIFName),
		fwd4:     forwards("forward4", v4, v4),
		fwd4any:  forwards("forward4any", v4),
		fwd6:     forwards("forward6", v6, v6),
		fwd6any:  forwards("forward6any", v6),
		self4:    set("self4", v4, v4),
		self6:    set("self6", v6, v6),
		guests4:  set("guests4", nftables.TypeIFName, v4),
		guests6:  set("guests6", nftables.TypeIFName, v6),
		rules:    map[string]int{},
	}
}

func (s *schema) sets() []*nftables.Set {
	return []*nftables.Set{s.bridges, s.internal, s.masq, s.same, s.fwd4, s.fwd4any, s.fwd6, s.fwd6any, s.self4, s.self6, s.guests4, s.guests6}
}

var (
	loopback4 = netip.MustParsePrefix("127.0.0.0/8")
	loopback6 = netip.MustParsePrefix("::1/128")
	// RFC 4291 section 2.5.6.
	linkLocal6 = netip.MustParsePrefix("fe80::/10")
)

// create queues the table with its chains and rules.
func (s *schema) create(c *nftables.Conn) error {
	c.AddTable(s.table)
	for _, set := range s.sets() {
		if err := c.AddSet(set, nil); err != nil {
			return err
		}
	}
	chain := func(name string, typ nftables.ChainType, hook *nftables.ChainHook, prio *nftables.ChainPriority, rules ...[]expr.Any) {
		ch := c.AddChain(&nftables.Chain{Table: s.table, Name: name, Type: typ, Hooknum: hook, Priority: prio})
		s.rules[name] = len(rules)
		for _, r := range rules {
			c.AddRule(&nftables.Rule{Table: s.table, Chain: ch, Exprs: r})
		}
	}
	v4, v6 := nfproto(unix.NFPROTO_IPV4), nfproto(unix.NFPROTO_IPV6)

	// The bridges have route_localnet, for ports published on 127.0.0.1. It must not open the host's
	// loopback services to the containers (CVE-2020-8558). Replies are not hit: at this priority their
	// destination is still the bridge's address.
	//
	// Nor may a container speak as somebody else: route_localnet takes away the kernel's own check for a source in 127/8
	// as well, and services of the host trust that one and those of other networks. What the host would not send back by the same bridge
	// does not come in. Duplicate address detection, which has no source yet, passes (nft_fib_v6_skip_icmpv6).
	chain("guard", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw,
		rule(v4, from(s.bridges), addrIn(false, loopback4), drop),
		rule(v4, fromGuest(s.guests4, true), accept),
		// Neighbours are asked for from addresses of this range, which nobody routes, and which the host has on none of the bridges that have no IPv6.
		rule(v6, fromGuest(s.guests6, false), accept),
		rule(v6, from(s.bridges), addrIn(true, linkLocal6), accept),
		rule(from(s.bridges), noWayBack, drop),
	)

	// From outside: a packet to 127.0.0.1 that a neighbour sent must never reach a port
	// that is published on loopback only, so loopback is translated in the output hook alone.
	chain("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest,
		rule(v4, addrIn(false, loopback4), leave),
		rule(v4, forwardBy(s.fwd4, true, true)),
		rule(v4, toLocal, forwardBy(s.fwd4any, true, false)),
		rule(v6, forwardBy(s.fwd6, false, true)),
		rule(v6, toLocal, forwardBy(s.fwd6any, false, false)),
	)

	// From the host itself. IPv6 has no route_localnet: [::1] is left to the proxy.
	chain("output", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest,
		rule(v4, forwardBy(s.fwd4, true, true)),
		rule(v4, toLocal, forwardBy(s.fwd4any, true, false)),
		rule(v6, addrIn(false, loopback6), leave),
		rule(v6, forwardBy(s.fwd6, false, true)),
		rule(v6, toLocal, forwardBy(s.fwd6any, false, false)),
	)

	chain("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource,
		// Hairpin: a container that talks to a published port must get its answer through the host again.
		rule(from(s.bridges), to(s.bridges), translated, masq),
		// Under br_netfilter such a packet never leaves the bridge and has no incoming interface here. It must be
		// masked only when it goes back to its sender.
		rule(to(s.bridges), translated, v4, betweenSame(s.self4, true), masq),
		rule(to(s.bridges), translated, v6, betweenSame(s.self6, false), masq),
		rule(from(s.masq), outside(s.bridges), masq),
		rule(v4, to(s.bridges), addrIn(true, loopback4), masq),
	)

	chain("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter,
		rule(fromTo(s.same), accept),
		rule(from(s.internal), reject),
		rule(to(s.internal), drop),
		rule(established, accept),
		rule(to(s.bridges), translated, accept),
		rule(from(s.bridges), to(s.bridges), reject),
		rule(to(s.bridges), drop),
	)
	return nil
}
