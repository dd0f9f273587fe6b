package server

import (
	"context"
	"net/http"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/spec"
)

// Snapshots is what an Engine does with what is in volumes.
type Snapshots interface {
	// Snapshots are those of project's volumes, the oldest first.
	Snapshots(ctx context.Context, project string) ([]ask.Snapshot, error)
	SnapshotVolumes(ctx context.Context, project string, o ask.SnapshotOptions, s event.Sink) error
	RestoreVolumes(ctx context.Context, project string, o ask.RestoreOptions, s event.Sink) error
	RemoveSnapshots(ctx context.Context, project string, names []string, s event.Sink) error
	CloneVolume(ctx context.Context, p *spec.Project, o ask.CloneOptions, s event.Sink) error
	// RemovedVolumes are those of project that can be brought back, the latest first; UndeleteVolumes does.
	RemovedVolumes(ctx context.Context, project string) ([]ask.RemovedVolume, error)
	UndeleteVolumes(ctx context.Context, project string, names []string, s event.Sink) error
}

func (s *Server) snapshotRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/projects/{project}/snapshots", question(s, s.engine.Snapshots))
	mux.HandleFunc("POST /v1/projects/{project}/snapshot-volumes", verb(s, s.engine.SnapshotVolumes))
	mux.HandleFunc("POST /v1/projects/{project}/restore-volumes", verb(s, s.engine.RestoreVolumes))
	mux.HandleFunc("POST /v1/projects/{project}/remove-snapshots", verb(s, s.engine.RemoveSnapshots))
	mux.HandleFunc("POST /v1/projects/{project}/clone-volume", s.cloneVolume)
	mux.HandleFunc("GET /v1/projects/{project}/removed-volumes", question(s, s.engine.RemovedVolumes))
	mux.HandleFunc("POST /v1/projects/{project}/undelete-volumes", verb(s, s.engine.UndeleteVolumes))
}

func (s *Server) cloneVolume(w http.ResponseWriter, r *http.Request) {
	body, err := decodeFor(w, r, func(b *api.CloneRequest) *spec.Project { return b.Project })
	if err != nil {
		s.fail(w, err)
		return
	}
	s.stream(w, r, func(ctx context.Context, out *stream) (api.Result, error) {
		return api.Result{}, s.engine.CloneVolume(ctx, body.Project, body.Options, out.event)
	})
}
