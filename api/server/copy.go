package server

import (
	"context"
	"io"
	"net/http"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/runtime/archive"
	"github.com/stackrun/stack/runtime/process"
)

func (s *Server) copyIn(w http.ResponseWriter, r *http.Request) {
	name, o, err := queried(r, ask.CopyInOptions{})
	if err != nil {
		s.fail(w, err)
		return
	}
	s.fed(w, r, func(ctx context.Context, out *stream) (api.Result, error) {
		return api.Result{}, s.engine.CopyIn(ctx, name, o, r.Body, out.event)
	})
}

// tarStream is a handler for an engine's method that writes a stream of a project's, by options O.
func tarStream[O any](s *Server, do func(context.Context, string, O, io.Writer, event.Sink) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name, o, err := posted[O](w, r)
		if err != nil {
			s.fail(w, err)
			return
		}
		s.upgrade(w, r, false, func(ctx context.Context, streams process.IO, sink event.Sink) (process.Exit, error) {
			return process.Exit{}, do(ctx, name, o, streams.Stdout, sink)
		})
	}
}

// files is for what is asked of a list of files, and answered in its order.
func files(s *Server, do func(context.Context, string, ask.FilesOptions) ([]archive.Difference, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name, o, err := posted[ask.FilesOptions](w, r)
		if err != nil {
			s.fail(w, err)
			return
		}
		found, err := do(r.Context(), name, o)
		s.answer(w, found, err)
	}
}
