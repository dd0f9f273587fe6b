package nft

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Contents is what the kernel has of the table.
type Contents struct {
	schema *schema
	elems  map[string]map[string]string // set name → key → value

	Blocked string // a chain of somebody else's that drops what goes through our bridges, see Admit; "" = none
}

// Read reads the table. One that is not there has nothing in it.
func (f *Firewall) Read() (Contents, error) {
	s := newSchema(f.name)
	c := Contents{schema: s, elems: map[string]map[string]string{}}
	f.mu.Lock()
	defer f.mu.Unlock()
	conn, err := f.open()
	if err != nil {
		return c, err
	}
	if c.Blocked, err = f.blocked(conn); err != nil {
		f.reset()
		return c, fmt.Errorf("cannot read the host's nftables: %w", err)
	}
	for _, set := range s.sets() {
		elems, err := conn.GetSetElements(set)
		if absent(err) {
			return c, nil // the table, or a part of it, is gone
		}
		if err != nil {
			return c, fmt.Errorf("cannot read nftables table %s: %w", f.name, err)
		}
		m := make(map[string]string, len(elems))
		for _, e := range elems {
			m[string(e.Key)] = string(e.Val)
		}
		c.elems[set.Name] = m
	}
	return c, nil
}

// absent says whether err is ENOENT. The library formats the errors of its dumps with %v, so the text is all there is.
func absent(err error) bool {
	return err != nil && (errors.Is(err, unix.ENOENT) || strings.HasSuffix(err.Error(), unix.ENOENT.Error()))
}

// HasNetwork says whether n is in the table as it shall be.
func (c Contents) HasNetwork(n Network) bool {
	return c.has(func(do apply) error { return c.schema.networks(do, []Network{n}) })
}

// HasForward says whether f is in the table as it shall be.
func (c Contents) HasForward(f Forward) bool {
	return c.has(func(do apply) error { return c.schema.forwards(do, []Forward{f}) })
}

func (c Contents) has(each func(apply) error) bool {
	missing := errors.New("missing")
	return each(func(set *nftables.Set, elems []nftables.SetElement) error {
		for _, e := range elems {
			if val, ok := c.elems[set.Name][string(e.Key)]; !ok || val != string(e.Val) {
				return missing
			}
		}
		return nil
	}) == nil
}

// Others says whether another instance has a table on this host.
func (f *Firewall) Others() (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	conn, err := f.open()
	if err != nil {
		return false, err
	}
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		f.reset()
		return false, fmt.Errorf("cannot list nftables tables: %w", err)
	}
	for _, t := range tables {
		if strings.HasPrefix(t.Name, tablePrefix) && t.Name != f.name {
			return true, nil
		}
	}
	return false, nil
}
