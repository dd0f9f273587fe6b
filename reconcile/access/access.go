// Package access has the verbs on the containers of a service that leave what users have asked for as it is:
// commands, streams and files go in and out, and somebody looks at what a container contains and uses.
package access

import (
	"log/slog"

	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/lifecycle"
)

// Access is what the package does, with the drivers. Safe for concurrent use.
type Access struct {
	drivers driver.Set
	hub     *event.Hub
	log     *slog.Logger
	keep    *lifecycle.Keeper
	turns   Turns
}

// Turns knows who works. *loop.Loop does.
type Turns interface {
	// Enter counts a request in flight.
	Enter() (leave func())
}

// New is that of the containers of d.
func New(d driver.Set, h *event.Hub, log *slog.Logger, k *lifecycle.Keeper, t Turns) *Access {
	return &Access{drivers: d, hub: h, log: log, keep: k, turns: t}
}
