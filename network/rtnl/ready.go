package rtnl

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// What a netlink request asks for is there when it returns, but not always at work: the kernel leaves some to queues of its own, which on a busy
// machine run some milliseconds later. A container that connects to something as the first thing it does would lose its first packet, and TCP
// repeats that a second later. So whoever makes something waits for the queues, here.

// patience bounds each wait. The kernel puts off some changes of carrier by up to a second (linkwatch_schedule_work in
// net/core/link_watch.c). What is not ready then is damage, which the next look finds.
const patience = 2 * time.Second

// Await asks done, first at once, until it says yes, ctx ends, or patience does.
func Await(ctx context.Context, done func() bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for pause := time.Millisecond; !done(); pause = min(2*pause, 50*time.Millisecond) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// AwaitCarrier waits until frames pass between the ends of the veths that are called links, on this side, and the bridges that they are on. That the other end of a veth
// which was brought up has a carrier is work of a queue. Until it has run, the bridge drops what comes from this port, and a bridge of which this is the first port
// has neither a queue for what it sends nor a link-local address.
func (h *Handle) AwaitCarrier(ctx context.Context, links ...string) {
	for _, name := range links {
		bridge := 0
		Await(ctx, func() bool {
			l, err := h.LinkByName(name)
			if err == nil {
				bridge = l.Attrs().MasterIndex
			}
			return err != nil || operational(l)
		})
		if bridge == 0 {
			continue
		}
		Await(ctx, func() bool {
			l, err := h.LinkByIndex(bridge)
			return err != nil || operational(l)
		})
	}
}

// operational says whether l carries frames (RFC 2863 section 3.1.12), or was taken down, in which case it will not. In newer kernels, to read a
// link is to work off the queue for it (linkwatch_sync_dev in rtnl_getlink).
func operational(l netlink.Link) bool {
	a := l.Attrs()
	return a.RawFlags&unix.IFF_UP == 0 || a.OperState == netlink.OperUp || a.OperState == netlink.OperUnknown
}

// AwaitLocal waits until the namespace takes what is sent to addrs for its own. Those of IPv6 get their route in table local from the queue of
// duplicate address detection, also where there is none to be done (addrconf_dad_work in net/ipv6/addrconf.c). Others are passed over.
func (h *Handle) AwaitLocal(ctx context.Context, addrs ...netip.Addr) {
	for _, a := range addrs {
		if !a.IsValid() || a.Is4() {
			continue
		}
		Await(ctx, func() bool {
			routes, err := h.RouteGet(a.AsSlice())
			return err != nil && !errors.Is(err, unix.ENETUNREACH) || len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL
		})
	}
}
