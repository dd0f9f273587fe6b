package nft

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// structure is what of a table does not change, as text: by chain its hook and rules, and under "" the table's own flags.
// Handles and counters of use are left out.
type structure map[string]string

// readStructure reads that of table t.
func readStructure(c *nftables.Conn, t *nftables.Table) (structure, error) {
	tables, err := c.ListTablesOfFamily(t.Family)
	if err != nil {
		return nil, err
	}
	s := structure{}
	for _, have := range tables {
		if have.Name == t.Name {
			s[""] = fmt.Sprintf("%#x", have.Flags) // "dormant" switches the whole table off
		}
	}
	chains, err := c.ListChainsOfTableFamily(t.Family)
	if err != nil {
		return nil, err
	}
	for _, ch := range chains {
		if ch.Table.Name != t.Name {
			continue
		}
		rules, err := c.GetRules(t, ch)
		if err != nil {
			return nil, err
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s %s %s", ch.Type, value(ch.Hooknum), value(ch.Priority), value(ch.Policy))
		for _, r := range rules {
			b.WriteByte('\n')
			b.WriteString(ruleText(r.Exprs))
		}
		s[ch.Name] = b.String()
	}
	return s, nil
}

// ruleText writes a rule so that two of the same meaning to the kernel are the same text.
func ruleText(exprs []expr.Any) string {
	var b strings.Builder
	for _, e := range exprs {
		text, err := json.Marshal(e)
		if err != nil { // none of the library's holds what JSON has not
			text = []byte(err.Error())
		}
		fmt.Fprintf(&b, "%T%s;", e, text)
	}
	return b.String()
}

func value[T any](p *T) string {
	if p == nil {
		return "-"
	}
	return fmt.Sprint(*p)
}

// rules counts the rules of a chain's text.
func (s structure) rules(chain string) int { return strings.Count(s[chain], "\n") }

// differs says in one clause what of s is not as in want.
func (s structure) differs(want structure) string {
	if s[""] != want[""] {
		return "its flags were changed, which switches it off (dormant)"
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		have, ok := s[name]
		switch {
		case !ok:
			return "its chain " + name + " is gone"
		case have != want[name] && s.rules(name) != want.rules(name):
			return fmt.Sprintf("its chain %s has %d rules, written were %d", name, s.rules(name), want.rules(name))
		case have != want[name]:
			return "its chain " + name + " is not as written"
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if _, ok := want[name]; !ok {
			return "it has a chain " + name + " that nobody here made"
		}
	}
	return ""
}
