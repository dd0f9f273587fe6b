package nft

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Guest is an address that somebody behind a bridge has besides those of the bridge's subnets. The host has no route to it, so that the guard would take
// who speaks from it for somebody else where bridged frames pass the firewall (br_netfilter).
type Guest struct {
	Bridge string
	Addr   netip.Addr
}

// AddGuests lets the guard pass guests. Each is counted: containers may have one address.
func (f *Firewall) AddGuests(guests []Guest) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var fresh []Guest
	for _, g := range guests {
		if f.guests[g]++; f.guests[g] == 1 {
			fresh = append(fresh, g)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	return f.change(func(s *schema, c *nftables.Conn) error { return s.guests(c.SetAddElements, fresh) })
}

// DelGuests undoes AddGuests. Unknown ones are success.
func (f *Firewall) DelGuests(guests []Guest) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var gone []Guest
	for _, g := range guests {
		switch f.guests[g] {
		case 0:
		case 1:
			delete(f.guests, g)
			gone = append(gone, g)
		default:
			f.guests[g]--
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return f.change(func(s *schema, c *nftables.Conn) error { return s.guests(c.SetDeleteElements, gone) })
}

// HasGuest says whether g is in the table.
func (c Contents) HasGuest(g Guest) bool {
	return c.has(func(do apply) error { return c.schema.guests(do, []Guest{g}) })
}

func (s *schema) guests(do apply, guests []Guest) error {
	var v4, v6 []nftables.SetElement
	for _, g := range guests {
		e := nftables.SetElement{Key: append(ifname(g.Bridge), g.Addr.AsSlice()...)}
		if g.Addr.Is4() {
			v4 = append(v4, e)
		} else {
			v6 = append(v6, e)
		}
	}
	if err := chunked(do, s.guests4, v4); err != nil {
		return err
	}
	return chunked(do, s.guests6, v6)
}

// fromGuest matches the pair iifname . saddr.
func fromGuest(s *nftables.Set, v4 bool) exprs {
	src, size := addrAt(true, v4)
	return exprs{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg0},
		&expr.Payload{DestRegister: reg0 + 4, Base: expr.PayloadBaseNetworkHeader, Offset: src, Len: size},
		&expr.Lookup{SourceRegister: reg0, SetName: s.Name, SetID: s.ID}}
}
