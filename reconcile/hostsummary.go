package reconcile

import (
	"context"

	"github.com/stackrun/stack/runtime"
)

// HostSummary is how much there is on the host of what this Engine looks after.
type HostSummary struct {
	ID                       string // of the state root's, for life
	StateRoot                string
	Running, Paused, Stopped int // containers of every project and of none
	Images                   int
}

// HostSummary counts what there is.
func (e *Engine) HostSummary(ctx context.Context) (HostSummary, error) {
	s := HostSummary{ID: e.identity.name(), StateRoot: e.roots.State}
	containers, err := e.drivers.Containers.List(ctx)
	if err != nil {
		return s, err
	}
	for _, c := range containers {
		switch c.Status {
		case runtime.Running:
			s.Running++
		case runtime.Paused:
			s.Paused++
		default:
			s.Stopped++
		}
	}
	images, err := e.drivers.Images.List(ctx)
	s.Images = len(images)
	return s, err
}
