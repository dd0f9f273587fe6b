package network

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
func (d *Driver) Teardown(ctx context.Context, containerID string) error {
	defer d.lock("sandbox " + containerID)()
	d.mu.Lock()
	s := d.sandboxes[containerID]
	d.mu.Unlock()
	if s == nil {
		return nil
	}
	return d.teardown(s)
}

// teardown works on any part of a sandbox. Precondition: the sandbox's lock is held. The record goes last but for the namespace: without a record that
// is a stray, which the next daemon removes.
func (d *Driver) teardown(s *sandbox) error {
	id := s.rec.Config.ContainerID
	fail := func(err error) error {
		return fmt.Errorf("cannot remove the network of %s: %w", s.rec.Config.Name(), err)
	}
	d.networks.Silence(s.rec)
	if err := d.fw.DelForwards(d.forwards(s.rec)); err != nil {
		return fail(err)
	}
	if err := d.fw.DelGuests(d.guests(s.rec)); err != nil {
		return fail(err)
	}
	failpoint.Hit("network.teardown.firewall")
	d.forgetFlows(s.rec)
	d.forgetHandedOver(s.rec)
	d.release(s)
	d.alarm.Forget(id)
	if err := d.detach(s.rec); err != nil {
		return fail(err)
	}
	if err := d.records.DropSandbox(id); err != nil {
		return fail(err)
	}
	failpoint.Hit("network.teardown.forgotten")
	d.mu.Lock()
	if d.sandboxes[id] == s {
		delete(d.sandboxes, id)
	}
	d.mu.Unlock()
	d.networks.Give(s.rec.Endpoints, s.rec.Config.Name())
	d.background.Go(func() { d.finishTeardown(s.rec) })
	return nil
}

// finishTeardown removes the namespace of a sandbox that is gone for the user, and waits for the links in it.
func (d *Driver) finishTeardown(r record.Sandbox) {
	unlock := d.lock("sandbox " + r.Config.ContainerID)
	d.mu.Lock()
	again := d.sandboxes[r.Config.ContainerID] != nil // and the file is the new one's
	d.mu.Unlock()
	if !again {
		_ = netns.Unbind(d.netnsPath(r.Config.ContainerID)) // a failure is for the next Setup, or the next daemon
	}
	failpoint.Hit("network.teardown.namespace")
	unlock()
	for _, ep := range r.Endpoints {
		if ep.HostLink != "" {
			d.awaitGone(ep.HostLink)
		}
	}
}

// detach removes from the namespace of r what may not stay for as long as the kernel takes to drop it.
func (d *Driver) detach(r record.Sandbox) error {
	path := d.netnsPath(r.Config.ContainerID)
	for _, ep := range r.Endpoints {
		n, err := d.networks.Record(ep.Network)
		if err != nil || ep.HostLink != "" || !netns.Bound(path) {
			continue
		}
		if err := netns.Do(path, func() error { return d.medium(n.Config).Detach(n, ep) }); err != nil {
			return err
		}
	}
	return nil
}

// awaitGone waits for the kernel to remove a link with its namespace, and removes it when something else still
// holds that: a process that outlived the container, a mount in another mount namespace.
func (d *Driver) awaitGone(link string) {
	deadline := time.Now().Add(2 * time.Second)
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		l, err := d.link.LinkByName(link)
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
