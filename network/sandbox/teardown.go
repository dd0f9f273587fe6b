package sandbox

import (
	"context"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/record"
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
	for _, ep := range r.Endpoints {
		if ep.HostLink != "" {
			sb.awaitGone(ep.HostLink)
		}
	}
}

// awaitGone waits for the kernel to remove a link with its namespace, and removes it when something else still
// holds that: a process that outlived the container, a mount in another mount namespace.
func (sb *Keeper) awaitGone(link string) {
	deadline := time.Now().Add(2 * time.Second)
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		l, err := sb.link.LinkByName(link)
		if err != nil {
			return
		}
		if time.Now().After(deadline) {
			netlink.LinkDel(l) // a failure means that it is gone, or that the next daemon sweeps it
			return
		}
		time.Sleep(pause)
	}
}
