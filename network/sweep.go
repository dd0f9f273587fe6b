package network

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/network/netns"
)

// strays are what carries this instance's name and no record knows: a predecessor's record that was lost. The firewall is not among them:
// its table is written anew from the records when a Driver begins.
type strays struct {
	namespaces []string // names of files below netns
	links      []netlink.Link
}

// strays looks for them. Precondition: d.mu is held, or nobody else has d yet.
func (d *Driver) strays() (strays, error) {
	var found strays
	known := map[string]bool{}
	for _, n := range d.networks.Records() {
		known[n.Link] = true
	}
	for _, s := range d.sandboxes {
		for _, ep := range s.rec.Endpoints {
			known[ep.HostLink] = true
		}
	}
	files, err := os.ReadDir(d.roots.InRun("netns"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return found, fmt.Errorf("cannot list network namespaces: %w", err)
	}
	for _, f := range files {
		if d.sandboxes[f.Name()] == nil {
			found.namespaces = append(found.namespaces, f.Name())
		}
	}
	links, err := d.link.Links()
	if err != nil {
		return found, fmt.Errorf("cannot list the host's links: %w", err)
	}
	for _, l := range links {
		name := l.Attrs().Name
		if !d.names.Ours(name) {
			continue
		}
		if n, ok := d.names.VethNumber(name); ok && n >= d.nextLink {
			d.nextLink = n + 1
		}
		if !known[name] {
			found.links = append(found.links, l)
		}
	}
	return found, nil
}

// sweep removes strays when a Driver begins, and waits for none of it.
func (d *Driver) sweep() {
	found, err := d.strays()
	if err != nil {
		return // the next daemon looks again
	}
	for _, name := range found.namespaces {
		netns.Unbind(d.netnsPath(name))
	}
	for _, l := range found.links {
		d.background.Go(func() { netlink.LinkDel(l) })
	}
}

// Sweep names what is left of work that was cut off and, with remove, removes it. Precondition: no other verb is under way.
func (d *Driver) Sweep(ctx context.Context, remove bool) ([]string, error) {
	if err := d.Settle(ctx); err != nil { // what is being removed is nobody's garbage
		return nil, err
	}
	d.mu.Lock()
	found, err := d.strays()
	d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	var names []string
	var errs []error
	for _, name := range found.namespaces {
		names = append(names, "network namespace "+d.netnsPath(name))
		if remove {
			errs = append(errs, netns.Unbind(d.netnsPath(name)))
		}
	}
	for _, l := range found.links {
		names = append(names, l.Type()+" "+l.Attrs().Name)
		if remove {
			if err := netlink.LinkDel(l); err != nil && !errors.Is(err, unix.ENODEV) {
				errs = append(errs, fmt.Errorf("cannot remove link %s: %w", l.Attrs().Name, err))
			}
		}
	}
	return names, errors.Join(errs...)
}
