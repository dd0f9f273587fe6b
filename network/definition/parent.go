package definition

import (
	"errors"
	"fmt"

	"github.com/stackrun/stack/internal/errdefs"
)

// OptParent is the option that names the link of the host that containers' interfaces are on. Docker's name, as all of them.
const OptParent = "parent"

// OptMacvlanMode is how the interfaces on one parent are to each other.
const OptMacvlanMode = "macvlan_mode"

const (
	optIPvlanMode = "ipvlan_mode" // at which layer frames are handed on
	optIPvlanFlag = "ipvlan_flag" // how the interfaces on one parent are to each other, as with macvlan
)

// Passthru is the mode of macvlan that gives the parent to one container: it has the parent's address, and receives all.
const Passthru = "passthru"

// parent: drivers macvlan and ipvlan, whose interfaces are links of their own on a link of the host, and whose frames pass the host by.
type parent struct{ kind childKind }

// childKind is what macvlan and ipvlan differ in.
type childKind interface {
	// options are those besides the parent.
	options() []option
	checkEndpoint(ep EndpointConfig) error
	// gateway says whether containers have a gateway, rather than a route to everywhere by their interface.
	gateway(c Config) bool
	// apart says why networks a and b cannot have one parent, nil = they can.
	apart(a, b Config) error
}

func (p parent) wantsGateway(c Config) bool { return p.outward(c) && p.kind.gateway(c) }
func (parent) outward(c Config) bool        { return !c.Internal && c.Parent() != "" }
func (parent) publishes(Config) bool        { return false }

// onHost: the subnet is that of the wire, which the host may well be on too.
func (parent) onHost() bool { return false }

func (p parent) checkEndpoint(ep EndpointConfig) error { return p.kind.checkEndpoint(ep) }

func (p parent) options() []option {
	return append(p.kind.options(), option{OptParent, func(v string) error {
		switch v {
		case "":
			return nil // as if it were not there
		case "lo":
			return expected("a link of the host that leads somewhere")
		}
		return linkName(v)
	}})
}

// macvlan: interfaces with a hardware address of their own.
type macvlan struct{}

func (macvlan) options() []option {
	return []option{{OptMacvlanMode, oneOf("bridge", "private", "vepa", Passthru)}}
}

func (macvlan) checkEndpoint(EndpointConfig) error { return nil }

func (macvlan) gateway(Config) bool { return true }

func (macvlan) apart(a, b Config) error {
	if a.MacvlanMode() == Passthru || b.MacvlanMode() == Passthru {
		return fmt.Errorf("%s %s takes a parent for itself", OptMacvlanMode, Passthru)
	}
	return nil
}

// ipvlan: interfaces with the parent's hardware address, told apart by their IP addresses.
type ipvlan struct{}

func (ipvlan) options() []option {
	return []option{{optIPvlanMode, oneOf("l2", "l3", "l3s")}, {optIPvlanFlag, oneOf("bridge", "private", "vepa")}}
}

func (ipvlan) checkEndpoint(ep EndpointConfig) error {
	if ep.MAC != "" {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot use mac_address %s: on a network of driver ipvlan all interfaces have the parent's; remove it, or use macvlan", ep.MAC))
	}
	return nil
}

// gateway: above layer 2 nobody is asked where somebody is, and the parent's side routes what comes.
func (ipvlan) gateway(c Config) bool { return c.IPvlanMode() == "" || c.IPvlanMode() == "l2" }

func (ipvlan) apart(a, b Config) error {
	return errors.New("mode and flag of ipvlan are the parent's, so that it has one network")
}

// Parent is the link that c names; "" = none.
func (c Config) Parent() string { return c.DriverOpts[OptParent] }

// MacvlanMode is how c's interfaces are to each other: "" or "bridge", they reach each other; "private", they do not; "vepa", they do by a switch that sends
// frames back; Passthru.
func (c Config) MacvlanMode() string { return c.DriverOpts[OptMacvlanMode] }

// IPvlanMode is the layer at which c hands frames on: "" or "l2", "l3", or "l3s", where the host's connection tracking sees it.
func (c Config) IPvlanMode() string { return c.DriverOpts[optIPvlanMode] }

// IPvlanFlag is MacvlanMode for ipvlan.
func (c Config) IPvlanFlag() string { return c.DriverOpts[optIPvlanFlag] }

// Sole says whether c has room for one container only.
func (c Config) Sole() bool { return c.Driver == Macvlan && c.MacvlanMode() == Passthru }

// Beside says why networks c and o cannot both be, whatever the host is like: they have one parent, of which the kernel lets only one of them make use.
func (c Config) Beside(o Config) error {
	_, on := c.driver().(parent)
	_, too := o.driver().(parent)
	if !on || !too || c.Parent() == "" || c.Parent() != o.Parent() {
		return nil
	}
	return c.BesideOn(c.Parent(), o)
}

// BesideOn says why c and o cannot both have the link as their parent: ErrConflict, about the option that names it. Precondition: c has a parent.
func (c Config) BesideOn(link string, o Config) error {
	p := c.driver().(parent)
	err := p.kind.apart(c, o)
	if o.Driver != c.Driver {
		err = fmt.Errorf("the kernel lets a link be the parent of one kind of links only, and that network is of driver %s", o.Driver)
	}
	if err != nil {
		return AboutOption(OptParent, errdefs.With(errdefs.ErrConflict, fmt.Errorf("network %q has the parent %s too: %w", o.ID, link, err)))
	}
	return nil
}
