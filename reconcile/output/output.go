// Package output reads what the containers of a project have written, merged by time, and can follow it. A
// container's log is one or more files. Package runtime/logs reads one file; this package knows which files exist.
package output

import (
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/supervise"
)

// Reader reads what containers of projects have written. Safe for concurrent use.
type Reader struct {
	drivers driver.Set
	hub     *event.Hub
	group   *supervise.Group
	turns   Turns
}

// Turns says who works on a project. *loop.Loop does.
type Turns interface {
	// Released is closed when nobody has the turn of project or waits for it any more; nil when nobody does now.
	Released(project string) <-chan struct{}
}

// New is one that is told by h and g of what becomes of containers, and by t when nobody works on a project.
func New(d driver.Set, h *event.Hub, g *supervise.Group, t Turns) *Reader {
	return &Reader{drivers: d, hub: h, group: g, turns: t}
}
