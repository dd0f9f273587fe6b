package nft

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// DNSTable is the name of the table in each container's namespace, of family ip.
const DNSTable = "stack-dns"

const dnsChain = "output"

// RedirectDNS makes addr:53 of the calling thread's network namespace lead to the ports udp and tcp of addr, where the DNS
// server listens: a socket on port 53 itself would keep the container from binding 0.0.0.0:53.
//
// The ports are rewritten in the packets, both ways and without connection tracking: a NAT rule would switch
// conntrack on for the whole namespace, which costs every packet of the container and an entry per query.
// fresh says that it was not called for this namespace before; else the table is replaced, which takes longer.
//
// Precondition: the goroutine is locked to a thread in the container's namespace.
func RedirectDNS(addr netip.Addr, udp, tcp uint16, fresh bool) error {
	c, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return fmt.Errorf("cannot open nftables: %w", err)
	}
	// Nobody waits for the close: see Firewall.open.
	defer func() { go c.CloseLasting() }()
	t := &nftables.Table{Name: DNSTable, Family: nftables.TableFamilyIPv4}
	if !fresh {
		c.AddTable(t)
		c.DelTable(t)
	}
	c.AddTable(t)
	// Before conntrack (priority -200), for those containers that switch it on themselves.
	ch := c.AddChain(&nftables.Chain{Table: t, Name: dnsChain, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityRaw})
	for _, exprs := range dnsRules(addr, udp, tcp) {
		c.AddRule(&nftables.Rule{Table: t, Chain: ch, Exprs: exprs})
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("cannot redirect port 53 in the container's network: %w", err)
	}
	return nil
}

// dnsRules are two for each protocol, one per direction.
func dnsRules(addr netip.Addr, udp, tcp uint16) (all [][]expr.Any) {
	host := netip.PrefixFrom(addr, addr.BitLen())
	for _, p := range []struct {
		proto byte
		port  uint16
	}{{unix.IPPROTO_UDP, udp}, {unix.IPPROTO_TCP, tcp}} {
		all = append(all, rule(addrIn(false, host), rewritePort(p.proto, destPort, 53, p.port)),
			rule(addrIn(true, host), rewritePort(p.proto, sourcePort, p.port, 53)))
	}
	return all
}

// RedirectsDNS says whether what RedirectDNS wrote for these ports is there: its rules, in order, by their kinds of expressions and the
// ports that they compare with and write. The rest of a rule is the same in every namespace.
//
// Precondition: as RedirectDNS.
func RedirectsDNS(addr netip.Addr, udp, tcp uint16) (bool, error) {
	c, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return false, fmt.Errorf("cannot open nftables: %w", err)
	}
	defer func() { go c.CloseLasting() }()
	t := &nftables.Table{Name: DNSTable, Family: nftables.TableFamilyIPv4}
	have, err := c.GetRules(t, &nftables.Chain{Table: t, Name: dnsChain})
	if absent(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot read nftables table %s: %w", DNSTable, err)
	}
	want := dnsRules(addr, udp, tcp)
	if len(have) != len(want) {
		return false, nil
	}
	for i, r := range have {
		if outline(r.Exprs) != outline(want[i]) {
			return false, nil
		}
	}
	return true, nil
}

// outline is the kinds of a rule's expressions with what they compare with and write, which the kernel gives back as it got them.
func outline(exprs []expr.Any) string {
	var b strings.Builder
	for _, e := range exprs {
		fmt.Fprintf(&b, "%T", e)
		switch e := e.(type) {
		case *expr.Cmp:
			fmt.Fprintf(&b, " %x", e.Data)
		case *expr.Immediate:
			fmt.Fprintf(&b, " %x", e.Data)
		}
		b.WriteByte(';')
	}
	return b.String()
}

// Offsets in the TCP and UDP headers: RFC 9293 section 3.1, RFC 768.
const (
	sourcePort = 0
	destPort   = 2
)

func rewritePort(proto byte, at uint32, from, to uint16) exprs {
	sum := uint32(16)
	if proto == unix.IPPROTO_UDP {
		sum = 6
	}
	return append(append(exprs{}, l4proto(proto)...),
		&expr.Payload{DestRegister: reg0, Base: expr.PayloadBaseTransportHeader, Offset: at, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg0, Data: be16(from)},
		&expr.Notrack{},
		&expr.Immediate{Register: reg0, Data: be16(to)},
		&expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: reg0, Base: expr.PayloadBaseTransportHeader,
			Offset: at, Len: 2, CsumType: expr.CsumTypeInet, CsumOffset: sum},
	)
}
