package sandbox

import (
	"context"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/network/cabling"
	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/rtnl"
)

// Teardown removes the sandbox of a container: its names, addresses and ports. The namespace and the links go in the background, which costs
// the kernel some milliseconds that nobody has to wait for; Settle does. Not there = success. The container's processes should have ended: they would keep the
// namespace, cut off.
func (sb *Keeper) Teardown(ctx context.Context, containerID string) error {
	defer sb.lock(containerID)()
	s := sb.book.find(containerID)
	if s == nil {
		return nil
	}
	return sb.teardown(s)
}

// teardown works on any part of a sandbox. Precondition: the sandbox's lock is held. The record goes last but for the namespace: without a record that
// is a stray, which the next daemon removes.
func (sb *Keeper) teardown(s *box) error {
	id := s.rec.Config.ContainerID
	fail := func(err error) error {
		return fmt.Errorf("cannot remove the network of %s: %w", s.rec.Config.Name(), err)
	}
	sb.networks.Silence(s.rec)
	if err := sb.fw.DelForwards(sb.forwards(s.rec)); err != nil {
		return fail(err)
	}
	if err := sb.fw.DelGuests(sb.cabling.Guests(s.rec.Endpoints)); err != nil {
		return fail(err)
	}
	failpoint.Hit("network.teardown.firewall")
	sb.forgetFlows(s.rec)
	sb.forgetHandedOver(s.rec)
	sb.book.release(s)
	sb.alarm.Forget(id)
	if err := sb.cabling.Detach(s.rec.Endpoints, sb.book.Path(id)); err != nil {
		return fail(err)
	}
	if err := sb.records.DropSandbox(id); err != nil {
		return fail(err)
	}
	failpoint.Hit("network.teardown.forgotten")
	sb.book.Forget(id)
	sb.networks.Give(s.rec.Endpoints, s.rec.Config.Name())
	sb.background.Go(func() { sb.finishTeardown(s.rec) })
	return nil
}

// finishTeardown removes the namespace of a sandbox that is gone for the user, and waits for the links in it.
func (sb *Keeper) finishTeardown(r record.Sandbox) {
	unlock := sb.lock(r.Config.ContainerID)
	if _, again := sb.book.Record(r.Config.ContainerID); !again { // else the file is the new one's
		_ = netns.Unbind(sb.book.Path(r.Config.ContainerID)) // a failure is for the next Setup, or the next daemon
	}
	failpoint.Hit("network.teardown.namespace")
	unlock()
	sb.awaitGone(r.Endpoints)
}

// held is how long the kernel may take to remove a link with its namespace before something else is taken to hold that: a process that
// outlived the container, a mount in another mount namespace, an open file.
const held = 2 * time.Second

// awaitGone waits until the links of eps on the host have gone with the namespace that was given up, and removes those that do not go. It gives up after
// a minute: then they are the next daemon's to sweep.
func (sb *Keeper) awaitGone(eps []record.Endpoint) {
	begun := time.Now()
	pause := 5 * time.Millisecond
	for _, link := range cabling.HostLinks(eps) {
		for time.Since(begun) < time.Minute {
			l, err := sb.link.LinkByName(link)
			if rtnl.IsNotFound(err) {
				break
			}
			if err == nil && time.Since(begun) > held {
				netlink.LinkDel(l) // the next look says whether it went
			}
			time.Sleep(pause)
			pause = min(2*pause, 100*time.Millisecond)
		}
	}
}
