package nft

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Contents is what the kernel has of the table.
type Contents struct {
	schema *schema
	elems  map[string]map[string]string // set name → key → value

	Blocked string // a chain of somebody else's that drops what goes through our bridges, see Admit; "" = none

	// Problem says what of the table as a whole is not as written, in one clause: a chain, a rule, an entry too many. That an entry is missing,
	// HasNetwork and HasForward say.
	Problem string
	missing bool // some entry is
}

// Whole says whether the kernel had exactly what it was told to.
func (c Contents) Whole() bool { return c.Problem == "" && !c.missing }

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
		if absent(err) { // the table, or a part of it, is gone
			clear(c.elems)
			c.missing = len(f.networks) > 0
			return c, nil
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
	if len(f.networks) == 0 {
		return c, nil
	}
	have, err := readStructure(conn, s.table)
	if absent(err) {
		c.Problem = "the firewall is being changed by others"
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("cannot read nftables table %s: %w", f.name, err)
	}
	what := have.differs(f.written)
	if f.written == nil {
		what = "it was changed while it was written"
	}
	if what == "" {
		what = c.surplus(f)
	}
	if what != "" {
		c.Problem = fmt.Sprintf("the firewall's table %s was changed: %s", f.name, what)
	}
	return c, nil
}

// surplus says what entry c has that f was not told of, and sets missing when there are others too few. Precondition: f.mu is held.
func (c *Contents) surplus(f *Firewall) string {
	told := map[string]map[string]string{}
	count := func(set *nftables.Set, elems []nftables.SetElement) error {
		if told[set.Name] == nil {
			told[set.Name] = map[string]string{}
		}
		for _, e := range elems {
			told[set.Name][string(e.Key)] = string(e.Val)
		}
		return nil
	}
	c.schema.networks(count, slices.Collect(maps.Values(f.networks)))
	c.schema.forwards(count, slices.Collect(maps.Values(f.forwards)))
	c.schema.guests(count, slices.Collect(maps.Keys(f.guests)))
	for _, set := range c.schema.sets() {
		for key := range c.elems[set.Name] {
			if _, ok := told[set.Name][key]; !ok {
				return "its set " + set.Name + " has an entry that nobody here made"
			}
		}
		c.missing = c.missing || !maps.Equal(c.elems[set.Name], told[set.Name])
	}
	return ""
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
	tables, err := f.tables()
	return slices.ContainsFunc(tables, func(name string) bool { return name != f.name }), err
}

// tables are the names of those that instances have on this host. Precondition: f.mu is held.
func (f *Firewall) tables() ([]string, error) {
	conn, err := f.open()
	if err != nil {
		return nil, err
	}
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		f.reset()
		return nil, fmt.Errorf("cannot list nftables tables: %w", err)
	}
	var names []string
	for _, t := range tables {
		if strings.HasPrefix(t.Name, tablePrefix) {
			names = append(names, t.Name)
		}
	}
	return names, nil
}
