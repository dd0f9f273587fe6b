// Package images gets the images of projects: from registries, from files, by building them; and gives them to registries. Package library has those of
// the host by their names and ids.
package images

import (
	"github.com/stackrun/stack/internal/disk"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/position"
	"github.com/stackrun/stack/spec"
)

// Images gets the images of projects: from registries, from files, by building them. Safe for concurrent use.
type Images struct {
	drivers driver.Set
	hub     *event.Hub
	roots   roots.Roots   // of the instance
	builds  chan struct{} // as many as may be under way
}

// New is one with d, of the instance at r, that tells h what becomes of images.
func New(d driver.Set, r roots.Roots, h *event.Hub) *Images {
	return &Images{drivers: d, roots: r, hub: h, builds: make(chan struct{}, parallelBuilds)}
}

// at is err with its place in p's file, if it has one there.
func (im *Images) at(p *spec.Project, path string, err error) error {
	return position.At(p, spec.Path(path), disk.Advised(err, im.roots))
}
