// Package alarm notices, without polling, that somebody else may have changed something of the networks.
package alarm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/watch"
	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/rtnl"
	"github.com/stackrun/stack/network/sysctl"
)

// Ours says whose something is.
type Ours interface {
	// KnowsLink says whether a link of the host is one of ours by its name.
	KnowsLink(name string) bool
	// Unbound says whether a sandbox has lost its namespace's file or what was bound there.
	Unbound() bool
}

// Alarm knows what may have changed since it was last looked at. The kernel queues a notice before the call that caused it returns, so
// whoever drains and then asks misses nothing that happened before.
//
// It keeps two things cheap: the look at a host that has not changed is the last one, and the inside of a container's namespace,
// which costs a thread to enter, is looked at when something happened there. Safe for concurrent use.
//
// Lock order: whatever the Alarm asks Ours is asked with its own lock held.
type Alarm struct {
	ours    Ours
	link    *rtnl.Handle // of the host's namespace
	hints   watch.Hub
	routes  *notices // links, addresses, routes, forwarding
	rules   *notices // nftables
	files   *watch.Files
	mounts  *watch.Polls
	deaf    bool // containers' namespaces are not heard
	table   string
	running sync.WaitGroup

	mu     sync.Mutex
	host   bool                // something of the host's namespace but its firewall
	wall   bool                // the firewall
	ids    map[int32]heard     // by namespace id
	known  map[string]struct{} // containers in ids
	inside map[string]bool     // containers whose namespace is to be looked at
	links  map[int32]bool      // indices of our links on the host
	binds  int                 // changes of mounts, and of the files of namespaces, so far
	bound  map[string]int      // containers whose namespace was bound, after so many changes
}

// heard is a container whose namespace has an id.
type heard struct {
	container  string
	interfaces []string // what it has from us
}

// netconf are the groups that tell of net.ipv4.conf and net.ipv6.conf, linux/rtnetlink.h.
const (
	groupNetconf4 = 24
	groupNetconf6 = 25
	newNetconf    = 80
	netconfIndex  = 1 // NETCONFA_IFINDEX, linux/netconf.h
)

// Open begins to queue what happens: on the host, where table is the firewall's, and to the files of namespaces in a directory.
func Open(link *rtnl.Handle, table, namespaces string, ours Ours) (_ *Alarm, err error) {
	a := &Alarm{ours: ours, link: link, table: table, host: true, wall: true, ids: map[int32]heard{}, known: map[string]struct{}{}, inside: map[string]bool{}, links: map[int32]bool{}, bound: map[string]int{}}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	a.routes, err = listenNetlink(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, groupNetconf4, groupNetconf6)
	if err != nil {
		return nil, err
	}
	if a.rules, err = listenNetlink(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES); err != nil {
		return nil, err
	}
	a.files, _ = watch.OpenFiles() // without: the host is looked at each time, and Watch says why it cannot
	err = a.files.Add(namespaces, unix.IN_DELETE|unix.IN_MOVED_FROM|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF)
	if err != nil && a.files.Blind() == nil {
		return nil, err
	}
	if a.mounts, err = watch.OpenPolls(); err != nil {
		return nil, err
	}
	if err = a.mounts.Add("host", "/proc/thread-self/mountinfo"); err != nil {
		return nil, err
	}
	a.deaf = !mayHear()
	return a, nil
}

// Run drains whenever something happens, from now on.
func (a *Alarm) Run() {
	for _, wait := range []func() error{
		func() error { return watch.Readable(a.routes.file) },
		func() error { return watch.Readable(a.rules.file) },
		a.files.Wait, a.mounts.Wait,
	} {
		a.running.Go(func() {
			for wait() == nil {
				a.Drain()
			}
		})
	}
}

// mayHear says whether this process has CAP_NET_BROADCAST, without which a socket hears of no namespace but its own
// (net/netlink/af_netlink.c, do_one_broadcast).
func mayHear() bool {
	var data [2]unix.CapUserData
	err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0])
	return err == nil && data[0].Effective&(1<<unix.CAP_NET_BROADCAST) != 0
}

// Close ends the hints and lets go of the sockets.
func (a *Alarm) Close() {
	a.hints.Close()
	if a.routes != nil {
		a.routes.file.Close()
	}
	if a.rules != nil {
		a.rules.file.Close()
	}
	if a.files != nil {
		a.files.Close()
	}
	if a.mounts != nil {
		a.mounts.Close()
	}
	a.running.Wait()
}

// Drain takes in what has happened, and tells whoever watches.
func (a *Alarm) Drain() {
	hint, mounts := false, false
	a.mu.Lock()
	lost := a.routes.drain(func(n notice) { hint = a.routeNotice(n) || hint })
	lost = a.rules.drain(func(n notice) { hint = a.ruleNotice(n) || hint }) || lost
	a.files.Drain(func(e watch.FileEvent) {
		// A sysctl, or a file of a namespace. A link that goes takes its sysctls along, which is told otherwise too.
		a.host = a.host || strings.HasPrefix(e.Path, sysctl.Root)
		hint, lost = true, lost || e.Overflow
	})
	a.mounts.Drain(func(string) { mounts = true })
	if mounts || hint || lost {
		a.binds++
	}
	if lost {
		a.host, a.wall, hint = true, true, true
		for _, h := range a.ids {
			a.inside[h.container] = true
		}
	}
	a.mu.Unlock()
	// Mounts come and go on a host, and few are ours.
	if hint || mounts && a.ours.Unbound() {
		a.hints.Give()
	}
}

// routeNotice takes in a message of rtnetlink(7), and says whether it is worth a hint. Precondition: mu is held.
func (a *Alarm) routeNotice(n notice) (hint bool) {
	if n.ns == hostNS {
		a.host = true
	}
	in := a.ids[n.ns]
	container := in.container
	if n.ns != hostNS && container == "" {
		return false // of a namespace of somebody else's
	}
	switch n.typ {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		if len(n.data) < unix.SizeofIfInfomsg {
			return false
		}
		index, flags := int32(binary.NativeEndian.Uint32(n.data[4:])), binary.NativeEndian.Uint32(n.data[8:])
		name := text(attribute(n.data[unix.SizeofIfInfomsg:], unix.IFLA_IFNAME))
		if container != "" {
			// Of its own making, and all that a link of ours says while it comes up, is no damage.
			damage := n.typ == unix.RTM_DELLINK || flags&unix.IFF_UP == 0 || !slices.Contains(in.interfaces, name)
			a.inside[container] = a.inside[container] || damage
			return damage
		}
		known := a.links[index] || a.ours.KnowsLink(name)
		if n.typ == unix.RTM_DELLINK {
			delete(a.links, index)
		} else if known {
			a.links[index] = true // whatever it is called next
		}
		return known
	case unix.RTM_DELADDR:
		if container != "" {
			a.inside[container] = true
			return true
		}
		return len(n.data) >= unix.SizeofIfAddrmsg && a.links[int32(binary.NativeEndian.Uint32(n.data[4:]))]
	case unix.RTM_DELROUTE:
		if container != "" {
			a.inside[container] = true
			return true
		}
		if len(n.data) < unix.SizeofRtMsg {
			return false
		}
		out := attribute(n.data[unix.SizeofRtMsg:], unix.RTA_OIF)
		return len(out) == 4 && a.links[int32(binary.NativeEndian.Uint32(out))]
	case newNetconf:
		// net.*.conf.all, of which ip_forward is part; that of a link is told by inotify.
		const header = 4 // struct netconfmsg is one byte
		if container != "" || len(n.data) < header {
			return false
		}
		index := attribute(n.data[header:], netconfIndex)
		return len(index) == 4 && int32(binary.NativeEndian.Uint32(index)) < 0
	}
	return false
}

// ruleNotice takes in a message of nftables, and says whether it is worth a hint. Precondition: mu is held.
func (a *Alarm) ruleNotice(n notice) (hint bool) {
	const header = 4 // struct nfgenmsg
	if n.typ>>8 != unix.NFNL_SUBSYS_NFTABLES || n.typ&0xff == unix.NFT_MSG_NEWGEN || len(n.data) < header {
		return false
	}
	// Attribute 1 is the name of the table in all of them: NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, …
	table := text(attribute(n.data[header:], unix.NFTA_TABLE_NAME))
	if n.ns == hostNS {
		// Of others' tables what can make a chain of theirs drop our packets, see nft.Firewall.Admit.
		kind := n.typ & 0xff
		relevant := table == a.table || !strings.HasPrefix(table, nft.TableName("")) &&
			(kind == unix.NFT_MSG_NEWCHAIN || kind == unix.NFT_MSG_DELCHAIN || kind == unix.NFT_MSG_DELRULE)
		a.wall = a.wall || relevant
		return relevant
	}
	container := a.ids[n.ns].container
	if container == "" || table != nft.DNSTable {
		return false
	}
	a.inside[container] = true
	return true
}

// Hear lets the alarm know the namespace ns of a container, in which interfaces and lo are ours: whole says that nothing of it needs to be looked at. After an error it is
// looked at each time.
func (a *Alarm) Hear(container string, interfaces []string, ns int, whole bool) error {
	id, err := a.link.GetNetNsIdByFd(ns)
	if err == nil && id < 0 {
		err = a.link.SetNetNsIdByFd(ns, -1) // any that is free
		if err == nil || errors.Is(err, unix.EEXIST) {
			id, err = a.link.GetNetNsIdByFd(ns)
		}
	}
	h := heard{container, append([]string{"lo"}, interfaces...)}
	a.Drain() // what was before this id had this container's name
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forgetLocked(container)
	a.inside[container] = !whole
	if err != nil {
		return err
	}
	a.ids[int32(id)], a.known[container] = h, struct{}{}
	return nil
}

// Forget is the end of a container's namespace.
func (a *Alarm) Forget(container string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forgetLocked(container)
}

// forgetLocked is Forget. Precondition: mu is held.
func (a *Alarm) forgetLocked(container string) {
	delete(a.inside, container)
	delete(a.bound, container)
	if _, ok := a.known[container]; !ok {
		return
	}
	delete(a.known, container)
	for id, h := range a.ids {
		if h.container == container {
			delete(a.ids, id)
		}
	}
}

// TakeHost says whether the host is to be looked at, and its firewall, and takes that as done. Precondition: drained.
func (a *Alarm) TakeHost() (host, wall bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	host, wall = a.host, a.wall
	a.host, a.wall = false, false
	return host, wall
}

// TakeInside is TakeHost for the namespace of a container.
func (a *Alarm) TakeInside(container string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.inside[container]
	delete(a.inside, container)
	_, known := a.known[container]
	return was || a.deaf || !known
}

// LookAgain undoes TakeInside: the look has failed, or found something, which ends without a notice.
func (a *Alarm) LookAgain(container string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.inside[container] = true
}

// Learn takes the indices of our links from a look at the host, by name, and watches the sysctls that it read.
func (a *Alarm) Learn(links map[string]int, sysctls iter.Seq[string]) {
	for path := range sysctls {
		if err := a.files.Add(sysctl.Root+path, unix.IN_MODIFY); err != nil && !errors.Is(err, fs.ErrNotExist) {
			a.mu.Lock()
			a.host = true // it cannot be watched: the next look reads it again
			a.mu.Unlock()
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.links)
	for name, index := range links {
		if a.ours.KnowsLink(name) {
			a.links[int32(index)] = true
		}
	}
}

// Bound is netns.Bound of a container's namespace at path, which it asks only when mounts or files have changed. Precondition: the alarm was drained since
// the sandbox was made.
func (a *Alarm) Bound(container, path string) bool {
	a.mu.Lock()
	now := a.binds
	then, ok := a.bound[container]
	a.mu.Unlock()
	if ok && then == now {
		return true
	}
	if !netns.Bound(path) {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bound[container] = now
	return true
}

// Watch delivers a coalesced hint when something may have been changed. The channel is closed when ctx ends. ErrNotSupported when this process may not hear of
// containers, or the user has no inotify instance left.
func (a *Alarm) Watch(ctx context.Context) (<-chan struct{}, error) {
	err := a.files.Blind()
	if err == nil && a.deaf {
		err = errors.New("it takes the capability CAP_NET_BROADCAST to hear of containers")
	}
	if err != nil {
		return nil, errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("cannot watch the networks: %w", err))
	}
	return a.hints.Subscribe(ctx), nil
}

// Hint gives one, for what the kernel tells nobody.
func (a *Alarm) Hint() { a.hints.Give() }
