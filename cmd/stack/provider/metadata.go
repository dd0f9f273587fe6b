package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// metadataTime bounds the question for a program's metadata: one that does not know it may do anything.
const metadataTime = 30 * time.Second

// Metadata is what a program says of the options that its verbs take; the zero value is that of one that says nothing, and gets all.
type Metadata struct {
	Description string `json:"description"`
	Up          Verb   `json:"up"`
	Down        Verb   `json:"down"`
	Stop        *Verb  `json:"stop"` // nil = it knows no stop
}

// Verb is what one verb takes.
type Verb struct {
	Parameters []Parameter `json:"parameters"`
}

// Parameter is an option, without its --.
type Parameter struct {
	Name     string `json:"name"`
	Required bool   `json:"required"`
}

// empty says that the program has said nothing.
func (m Metadata) empty() bool {
	return m.Description == "" && m.Up.Parameters == nil && m.Down.Parameters == nil
}

// Metadata asks the program. One that fails, or says something else, has none: it need not know the question.
func (p *Program) Metadata(ctx context.Context) (Metadata, error) {
	bound, cancel := context.WithTimeout(ctx, metadataTime)
	defer cancel()
	var m Metadata
	cmd := p.command(bound, "compose", "metadata")
	out := &bounded{max: maxSaid}
	cmd.Stdout = out
	if cmd.Run() != nil || json.Unmarshal(out.Bytes(), &m) != nil {
		m = Metadata{}
	}
	return m, context.Cause(ctx)
}

// verb is what the program says of a verb of Call.
func (m Metadata) verb(name string) Verb {
	switch {
	case name == "up":
		return m.Up
	case name == "down":
		return m.Down
	case m.Stop != nil:
		return *m.Stop
	}
	return Verb{}
}

// Stops says whether the program has a verb to stop what it provides.
func (m Metadata) Stops() bool { return m.Stop != nil }

// Missing is the first option that a verb needs and options do not have, "" = none.
func (m Metadata) Missing(verb string, options map[string][]string) string {
	for _, p := range m.verb(verb).Parameters {
		if _, ok := options[p.Name]; p.Required && !ok {
			return p.Name
		}
	}
	return ""
}

// flags are options as the verb takes them, sorted by name. What the verb does not know is left out, as docker compose does: the options are those
// of up, and down need not know all of them.
func (m Metadata) flags(verb string, options map[string][]string) []string {
	known := m.verb(verb).Parameters
	var out []string
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if !m.empty() && !slices.ContainsFunc(known, func(p Parameter) bool { return p.Name == name }) {
			continue
		}
		for _, value := range options[name] {
			out = append(out, fmt.Sprintf("--%s=%s", name, value))
		}
	}
	return out
}

// bounded keeps the beginning of what is written to it.
type bounded struct {
	bytes.Buffer
	max int
}

func (b *bounded) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), max(0, b.max-b.Len()))])
	return len(p), nil
}
