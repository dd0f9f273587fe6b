// Package conntrack lets the kernel forget connections that it tracks (ctnetlink). The firewall decides where a connection leads by its first packet
// (nf_conntrack(5)); what is forgotten it decides anew.
package conntrack

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Flow is a connection, or what goes between two ports in a protocol that has none.
type Flow struct {
	Proto byte           // unix.IPPROTO_TCP
	To    netip.AddrPort // where its first packet was sent
	By    netip.AddrPort // who answers: not To, when the firewall has forwarded it
	New   bool           // nobody has answered yet, which is known of TCP only
}

// Forwarded says whether the firewall has sent it on to somebody else.
func (f Flow) Forwarded() bool { return f.By != f.To }

// Forget ends the tracking of all flows in the calling thread's network namespace that are stale. It reads the whole table, once for each family.
func Forget(stale func(Flow) bool) error {
	var errs []error
	for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
		_, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, filter(stale))
		// One that changed while it was read has what was there before it was.
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			errs = append(errs, fmt.Errorf("cannot forget tracked connections: %w", err))
		}
	}
	return errors.Join(errs...)
}

// tcpSynSent is TCP_CONNTRACK_SYN_SENT of linux/netfilter/nf_conntrack_tcp.h.
const tcpSynSent = 1

type filter func(Flow) bool

// MatchConntrackFlow is netlink.CustomConntrackFilter.
func (stale filter) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	to, ok1 := netip.AddrFromSlice(f.Forward.DstIP)
	by, ok2 := netip.AddrFromSlice(f.Reverse.SrcIP)
	tcp, _ := f.ProtoInfo.(*netlink.ProtoInfoTCP)
	return ok1 && ok2 && stale(Flow{
		Proto: f.Forward.Protocol,
		To:    netip.AddrPortFrom(to.Unmap(), f.Forward.DstPort),
		By:    netip.AddrPortFrom(by.Unmap(), f.Reverse.SrcPort),
		New:   tcp != nil && tcp.State == tcpSynSent,
	})
}
