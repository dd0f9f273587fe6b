package diag

import (
	"fmt"
	"hash/maphash"
	"slices"
)

// CodeMore is the code of what stands for the faults that are counted and not told.
const CodeMore Code = "more-faults"

// Bounds of a Collector. A file can have as many faults as it has values: nobody reads them all, and each takes half a kilobyte.
const (
	maxKept = 1_000   // of each severity
	maxSeen = 100_000 // that are known again when they are found twice
)

// Collector takes the faults of the passes of one load. It keeps the first thousand errors and the first thousand warnings,
// and counts the others. A fault that is found twice, because a file is read for two purposes, is one. The zero Collector is empty.
type Collector struct {
	list List
	kept [2]int
	more [2]int
	seen map[uint64]struct{}
}

// Full says whether another fault of this severity would be counted only: who adds it need not look for a hint.
func (c *Collector) Full(s Severity) bool { return c.kept[s] >= maxKept }

// Count counts another fault of this severity if that is all that would be done with it, and says so: who finds very many
// spares itself what it takes to tell each.
func (c *Collector) Count(s Severity) bool {
	if c.Full(s) {
		c.more[s]++
	}
	return c.Full(s)
}

// HasErrors says whether anything that was added is more than a warning.
func (c *Collector) HasErrors() bool { return c.Errors() > 0 }

// Errors is the number of errors so far.
func (c *Collector) Errors() int { return c.kept[Error] + c.more[Error] }

// Add takes one fault.
func (c *Collector) Add(d *Diagnostic) {
	switch {
	case d.More > 0:
		c.more[d.Severity] += d.More
		return
	case c.again(d):
		return
	case c.Full(d.Severity):
		c.more[d.Severity]++
		return
	}
	c.kept[d.Severity]++
	c.list = append(c.list, d)
}

var seed = maphash.MakeSeed()

// again says whether d was added before.
func (c *Collector) again(d *Diagnostic) bool {
	if d.Subject == nil || len(c.seen) >= maxSeen {
		return false
	}
	type identity struct {
		at       Range
		severity Severity
		code     Code
		detail   string
	}
	h := maphash.Comparable(seed, identity{*d.Subject, d.Severity, d.Code, d.Detail})
	if _, is := c.seen[h]; is {
		return true
	}
	if c.seen == nil {
		c.seen = map[uint64]struct{}{}
	}
	c.seen[h] = struct{}{}
	return false
}

// Join takes the faults of another list.
func (c *Collector) Join(list List) {
	for _, d := range list {
		c.Add(d)
	}
}

// List is what was added, sorted; what is not kept is told at the end.
func (c *Collector) List() List {
	list := slices.Clone(c.list)
	for severity, n := range c.more {
		if n > 0 {
			list = append(list, untold(Severity(severity), n))
		}
	}
	list.Sort()
	return list
}

// untold stands for n faults.
func untold(s Severity, n int) *Diagnostic {
	d := &Diagnostic{Severity: s, Code: CodeMore, Summary: fmt.Sprintf("and %d more %ss", n, s), More: n}
	if n == 1 {
		d.Summary = fmt.Sprintf("and 1 more %s", s)
	}
	return d
}

// First is l with at most n errors and n warnings; the others are counted.
func (l List) First(n int) List {
	var (
		out  List
		kept [2]int
		more [2]int
	)
	for _, d := range l {
		switch {
		case d.More > 0:
			more[d.Severity] += d.More
		case kept[d.Severity] >= n:
			more[d.Severity]++
		default:
			kept[d.Severity]++
			out = append(out, d)
		}
	}
	for s, m := range more {
		if m > 0 {
			out = append(out, untold(Severity(s), m))
		}
	}
	return out
}
