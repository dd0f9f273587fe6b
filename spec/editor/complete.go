package editor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stackrun/stack/schema"
)

// Kind is what an Item is.
type Kind uint8

const (
	Key Kind = iota
	Value
	Reference // the name of a service, network and so on
	Variable
)

// Item is something that may be written. Insert takes the place of the runes from From to the cursor.
type Item struct {
	Label   string
	Insert  string
	From    int
	Kind    Kind
	Detail  string // in a few words
	Text    string // a sentence or two
	Strange bool   // it has no effect here, or is refused
}

// Known is what is known beside the text: from the last time that the project loaded, and the
// variables that it is read with.
type Known struct {
	Names     map[string][]string // by section: "services"
	Variables map[string]string
}

// referTo are the sections that values of an attribute name entries of. Elements of lists count as
// values of the list.
var referTo = map[string]string{
	"services.*.depends_on": "services", "services.*.extends": "services", "services.*.extends.service": "services", "services.*.links": "services",
	"services.*.volumes_from": "services", "services.*.networks": "networks", "services.*.volumes": "volumes", "services.*.volumes[].source": "volumes",
	"services.*.configs": "configs", "services.*.configs[].source": "configs", "services.*.secrets": "secrets", "services.*.secrets[].source": "secrets",
	"services.*.build.secrets": "secrets", "services.*.build.secrets[].source": "secrets", "services.*.models": "models",
	"services.*.profiles": "profiles", // no section: those that services have
}

// sharing are the attributes that may say service:NAME.
var sharing = []string{"services.*.network_mode", "services.*.ipc", "services.*.pid", "services.*.uts"}

// Complete lists what may be written where the cursor is, sorted; what has been begun narrows it.
func Complete(t Text, line, column int, known Known) []Item {
	c := completer{t: t, line: line, known: known}
	text := t.Line(line)
	c.before = text[:min(column, len(text))]
	items := c.items()
	items = slices.DeleteFunc(items, func(it Item) bool {
		begun := strings.ToLower(string(c.before[min(it.From, len(c.before)):]))
		return !strings.Contains(strings.ToLower(it.Label), strings.Trim(begun, `"'`))
	})
	slices.SortStableFunc(items, func(a, b Item) int { return strings.Compare(a.Label, b.Label) })
	return items
}

type completer struct {
	t      Text
	line   int
	before []rune // the line up to the cursor
	known  Known
}

func (c *completer) items() []Item {
	if start, ok := variableAt(c.before); ok {
		return c.variables(start)
	}
	for i, r := range c.before {
		if r == '#' && (i == 0 || c.before[i-1] == ' ') {
			return nil // a comment
		}
	}
	parts := partsOf(c.before)
	if len(parts) > 0 && parts[len(parts)-1].key != "" {
		p := parts[len(parts)-1]
		at := append(c.t.above(c.line, p.column), step{key: p.key})
		return c.values(at, c.wordStart(p.end+1))
	}
	start := c.wordStart(0)
	at := c.t.above(c.line, start)
	if len(parts) > 0 { // behind a dash: a value of the list, or the first key of an object
		items := c.keys(at, start)
		if n := len(at) - 1; n >= 0 {
			items = append(items, c.values(at[:n], start)...)
		}
		return items
	}
	return c.keys(at, start)
}

// wordStart is where the word before the cursor starts, not before low.
func (c *completer) wordStart(low int) int {
	i := len(c.before)
	for i > low && !strings.ContainsRune(" [{,", c.before[i-1]) {
		i--
	}
	return i
}

// variableAt is where the name of a variable that is being written starts.
func variableAt(before []rune) (int, bool) {
	i := len(before)
	for i > 0 && (before[i-1] == '_' || before[i-1] >= '0' && before[i-1] <= '9' || before[i-1]|0x20 >= 'a' && before[i-1]|0x20 <= 'z') {
		i--
	}
	start := i
	if i > 0 && before[i-1] == '{' {
		i--
	}
	if i == 0 || before[i-1] != '$' {
		return 0, false
	}
	dollars := 0
	for ; i > 0 && before[i-1] == '$'; i-- {
		dollars++
	}
	return start, dollars%2 == 1 // $$ is a dollar sign
}

func (c *completer) variables(start int) []Item {
	var out []Item
	closing := ""
	if c.before[start-1] == '{' {
		closing = "}"
	}
	for name := range c.known.Variables {
		out = append(out, Item{Label: name, Insert: name + closing, From: start, Kind: Variable, Detail: "variable"})
	}
	return out
}

// keys are the fixed keys of the object at a, without those that it has, or the names that it refers to.
func (c *completer) keys(a address, start int) []Item {
	n := a.node()
	if n == nil {
		return nil
	}
	var out []Item
	if n.Keys == nil {
		if n.Attribute != nil {
			out = c.references(n.Path, start, ": ")
		}
		return out
	}
	has := c.t.siblings(c.line, start)
	for key, below := range n.Keys {
		if slices.Contains(has, key) {
			continue
		}
		it := Item{Label: key, Insert: key + ": ", From: start, Kind: Key, Detail: formName(below)}
		if below.About != nil {
			it.Text = below.About.Text
		}
		if why := effect(below); why != "" {
			it.Text, it.Strange = it.Text+" "+why, true
		}
		out = append(out, it)
	}
	return out
}

// siblings are the keys beside one at the column of the line.
func (t Text) siblings(line, column int) []string {
	var out []string
	look := func(from, by int) {
		for i := from; i >= 0 && i < len(t); i += by {
			parts := partsOf(t.Line(i))
			if len(parts) == 0 {
				continue
			}
			first, last := parts[0], parts[len(parts)-1]
			if by > 0 && first.column < column {
				return
			}
			if last.key != "" && last.column == column {
				out = append(out, last.key)
			}
			// Less indented, the object is over; upwards the dash that opens it is on the line of its first key.
			if first.column < column {
				return
			}
		}
	}
	if parts := partsOf(t.Line(line)); len(parts) == 0 || parts[0].key != "" { // else the object starts here
		look(line-1, -1)
	}
	look(line+1, 1)
	return out
}

// values are what may stand for the attribute at a, or be an element of it.
func (c *completer) values(a address, start int) []Item {
	n := a.node()
	if n == nil || n.Attribute == nil {
		return nil
	}
	var out []Item
	for _, w := range n.About.Words() {
		if w != "" {
			out = append(out, Item{Label: w, Insert: quoted(n, w), From: start, Kind: Value})
		}
	}
	if slices.Contains(sharing, n.Path) {
		for _, s := range c.names("services") {
			if len(a) > 1 && s != a[1].key {
				out = append(out, Item{Label: "service:" + s, Insert: "service:" + s, From: start, Kind: Reference, Detail: "service"})
			}
		}
	}
	behind := ""
	if n.Path == "services.*.volumes" {
		behind = ":"
	}
	return append(out, c.references(n.Path, start, behind)...)
}

// quoted is w as it must be written: "no" is a boolean to readers of YAML 1.1.
func quoted(n *schema.Node, w string) string {
	if w == "no" && n.About.Form != schema.Bool {
		return `"no"`
	}
	return w
}

func (c *completer) references(path string, start int, behind string) []Item {
	section := referTo[path]
	if section == "" {
		return nil
	}
	own := ""
	if at := c.t.above(c.line, start); section == "services" && len(at) > 1 {
		own = at[1].key // a service does not refer to itself
	}
	var out []Item
	for _, name := range c.names(section) {
		if name != own {
			out = append(out, Item{Label: name, Insert: name + behind, From: start, Kind: Reference, Detail: strings.TrimSuffix(section, "s")})
		}
	}
	return out
}

// names are those of the text and of the project when it last loaded.
func (c *completer) names(section string) []string {
	all := append(c.t.names(section), c.known.Names[section]...)
	slices.Sort(all)
	return slices.Compact(all)
}

// effect says what becomes of an attribute that is not supported, "" when it is.
func effect(n *schema.Node) string {
	if n.Attribute == nil || n.Reason == "" {
		return ""
	}
	switch n.Level {
	case schema.Warned:
		return fmt.Sprintf("Without effect: %s.", n.Reason)
	case schema.Refused:
		return fmt.Sprintf("Not supported: %s.", n.Reason)
	}
	return ""
}

// formName says in a few words what may be written.
func formName(n *schema.Node) string {
	if n.About == nil {
		return ""
	}
	return n.About.Form.String()
}
