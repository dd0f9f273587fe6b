// Package images gets the images of projects: from registries, from files, by building them; and gives them to registries. Package library has those of
// the host by their names and ids.
package images

import (
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/event"
)

// Images gets the images of projects: from registries, from files, by building them. Safe for concurrent use.
type Images struct {
	drivers driver.Set
	hub     *event.Hub
	builds  chan struct{} // as many as may be under way
}

// New is one with d that tells h what becomes of images.
func New(d driver.Set, h *event.Hub) *Images {
	return &Images{drivers: d, hub: h, builds: make(chan struct{}, parallelBuilds)}
}
