package ask

import (
	"encoding/json"

	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec/diag"
)

// Dump is everything that a plan is made of, for whoever looks for a fault of stack's. Nothing is promised of its form. Values that are
// secret are left out.
type Dump struct {
	Project  string             `json:"project"`
	Desired  json.RawMessage    `json:"desired"`  // plan.Desired
	Observed json.RawMessage    `json:"observed"` // as a saved plan's facts
	Changes  []plan.Change      `json:"changes"`
	Steps    json.RawMessage    `json:"steps"`
	Said     []*diag.Diagnostic `json:"said,omitempty"` // what preflight has to say
	Graph    Graph              `json:"graph"`
}

// Graph is who needs what: the resources that the file asks for, and the steps of the plan.
type Graph struct {
	Resources []Node `json:"resources"`
	Steps     []Node `json:"steps"`
	Edges     []Edge `json:"edges"`
}

// Node of a Graph.
type Node struct {
	ID   string    `json:"id"` // service:web, network:shop_default, #1
	Text string    `json:"text"`
	Kind plan.Kind `json:"kind,omitempty"` // of a resource; a service is one of containers
}

// Edge says that From needs To, or only comes after it.
type Edge struct {
	From string `json:"from"`
	To   string `json:"to"`
	Text string `json:"text,omitempty"` // service_healthy
	Weak bool   `json:"weak,omitempty"` // after it, however that ended
}
