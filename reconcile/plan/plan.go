package plan

import (
	"fmt"
	"strings"
)

// Action is what happens to a resource.
type Action string

const (
	NoOp    Action = "keep"
	Create  Action = "create"
	Start   Action = "start"
	Stop    Action = "stop"
	Restart Action = "restart"
	Mend    Action = "mend" // put right as it runs or is used
	Replace Action = "recreate"
	Delete  Action = "remove"
	Pull    Action = "pull"
	Make    Action = "build" // of an image
	Ask     Action = "ask"   // in the place of a pull of an image that is on the host: only the registry knows whether it has another. In what is shown of a plan alone
)

// Change is what happens to one resource, and why. Kept ones are not listed.
type Change struct {
	ID      ID       `json:"id"`
	Name    string   `json:"name"` // as users know it
	Action  Action   `json:"action"`
	Reasons []Reason `json:"reasons"`
	Runs    string   `json:"runs,omitempty"` // what runs before it starts: "pre_start[0], pre_start[1]"
}

// Step is one operation. It starts when every step of Needs has succeeded and every step of After has
// ended, however it ended. Step ids count from 1 and Needs and After only name smaller ones.
type Step struct {
	ID    int
	Op    Operation
	Needs []int
	After []int
	For   ID
	Cause Reason
	// Update is the service whose rolling update the step is part of: its failure is one of that update, which its EndUpdate
	// answers for. "" = none.
	Update string
}

// Plan is what to do. An empty one (no steps) means that the host is as the file says.
type Plan struct {
	Project string
	Changes []Change
	Steps   []Step
}

// Empty says that there is nothing to do.
func (p *Plan) Empty() bool { return len(p.Steps) == 0 }

// String is stable and for people: changes with their reasons, then steps with what they wait for.
func (p *Plan) String() string {
	var b strings.Builder
	for _, c := range p.Changes {
		fmt.Fprintf(&b, "%s %s %s\n", c.Action, c.ID.Kind, c.Name)
		for _, r := range c.Reasons {
			fmt.Fprintf(&b, "    %s\n", r)
		}
		if c.Runs != "" {
			fmt.Fprintf(&b, "    runs %s before it starts\n", c.Runs)
		}
	}
	if len(p.Steps) > 0 {
		b.WriteString("--\n")
	}
	for _, s := range p.Steps {
		fmt.Fprintf(&b, "#%d %s%s  (%s: %s)\n", s.ID, deps(s), s.Op, s.For, s.Cause)
	}
	return b.String()
}

func deps(s Step) string {
	var parts []string
	for _, n := range s.Needs {
		parts = append(parts, fmt.Sprintf("#%d", n))
	}
	for _, n := range s.After {
		parts = append(parts, fmt.Sprintf("~#%d", n))
	}
	if len(parts) == 0 {
		return ""
	}
	return "[" + strings.Join(parts, " ") + "] "
}
