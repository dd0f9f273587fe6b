// Package preview shows what would be done, or what differs: each resource with its reasons, for people or programs.
package preview

import (
	"fmt"
	"io"
	"strings"

	"github.com/stackrun/stack/cmd/stack/formatter"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/plan"
)

// Write writes v as one JSON object, or as what text makes of it.
func Write(w io.Writer, v *ask.Preview, format string, text func(*ask.Preview) string) error {
	if format == formatter.JSON {
		return formatter.WriteJSON(w, v)
	}
	_, err := io.WriteString(w, text(v))
	return err
}

// actions in the order of a summary, with what it says of each before and afterwards.
var actions = []struct {
	action      plan.Action
	words, done string
}{
	{plan.Pull, "to pull", "pulled"}, {plan.Ask, "to ask the registry for", "asked for"}, {plan.Make, "to build", "built"}, {plan.Create, "to create", "created"},
	{plan.Replace, "to recreate", "recreated"}, {plan.Stop, "to stop", "stopped"}, {plan.Restart, "to restart", "restarted"}, {plan.Mend, "to mend", "mended"}, {plan.Start, "to start", "started"}, {plan.Delete, "to remove", "removed"},
}

// planText is a plan for people: what happens to each resource and why, then one line.
func planText(v *ask.Preview) string {
	var b strings.Builder
	counts := map[plan.Action]int{}
	WriteChanges(&b, v.Changes, func(c plan.Change) {
		counts[c.Action]++
		action := string(c.Action)
		if c.Action == plan.Ask {
			action = "would ask the registry for"
		}
		fmt.Fprintf(&b, "  %s %s\n", action, c.Name)
	})
	var parts []string
	for _, a := range actions {
		if n := counts[a.action]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, a.words))
		}
	}
	switch {
	case len(v.Faults) > 0:
		fmt.Fprintf(&b, "%s: up would do nothing of it before the faults below are mended\n", v.Project)
	case len(parts) == 0:
		fmt.Fprintf(&b, "%s: nothing to do\n", v.Project)
	default:
		fmt.Fprintf(&b, "%s: %s\n", v.Project, strings.Join(parts, ", "))
	}
	return b.String()
}

// DriftText is the differences for people, then one line.
func DriftText(v *ask.Preview) string {
	var b strings.Builder
	differences := 0
	WriteChanges(&b, v.Changes, func(c plan.Change) {
		differences += len(c.Reasons)
		fmt.Fprintf(&b, "  %s\n", c.Name)
	})
	switch differences += len(v.Faults); differences {
	case 0:
		fmt.Fprintf(&b, "%s: this host is as the file of the last up says\n", v.Project)
	case 1:
		fmt.Fprintf(&b, "%s: 1 difference\n", v.Project)
	default:
		fmt.Fprintf(&b, "%s: %d differences\n", v.Project, differences)
	}
	return b.String()
}

// WriteChanges writes the resources of each kind below its name: what one writes, then the reasons.
func WriteChanges(b *strings.Builder, changes []plan.Change, one func(plan.Change)) {
	var kind plan.Kind
	for _, c := range changes {
		if c.ID.Kind != kind {
			kind = c.ID.Kind
			fmt.Fprintf(b, "%ss\n", kind)
		}
		one(c)
		for _, r := range c.Reasons {
			fmt.Fprintf(b, "      %s\n", r)
		}
		if c.Runs != "" {
			fmt.Fprintf(b, "      runs %s before it starts\n", c.Runs)
		}
	}
	if len(changes) > 0 {
		b.WriteByte('\n')
	}
}

// Counts is "2 created, 1 recreated".
func Counts(changes []plan.Change) string {
	n := map[plan.Action]int{}
	for _, c := range changes {
		n[c.Action]++
	}
	var parts []string
	for _, a := range actions {
		if n[a.action] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[a.action], a.done))
		}
	}
	return strings.Join(parts, ", ")
}
