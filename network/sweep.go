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

// strays looks for them.
func (d *Driver) strays() (strays, error) {
	var found strays
	known := d.book.HostLinks()
	for _, n := range d.networks.Records() {
		known[n.Link] = true
	}
	files, err := os.ReadDir(d.roots.InRun("netns"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return found, fmt.Errorf("cannot list network namespaces: %w", err)
	}
	for _, f := range files {
		if _, known := d.book.Record(f.Name()); !known {
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
		if n, ok := d.names.VethNumber(name); ok {
			d.book.Numbered(n)
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
		netns.Unbind(d.book.Path(name))
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
	found, err := d.strays()
	if err != nil {
		return nil, err
	}
	var names []string
	var errs []error
	for _, name := range found.namespaces {
		names = append(names, "network namespace "+d.book.Path(name))
		if remove {
			errs = append(errs, netns.Unbind(d.book.Path(name)))
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
