package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
)

func (s *Server) plan(w http.ResponseWriter, r *http.Request) {
	body, err := decodeFor(w, r, upProject)
	if err != nil {
		s.fail(w, err)
		return
	}
	found, err := s.engine.Plan(r.Context(), body.Project, body.Options)
	s.answer(w, found, err)
}

func (s *Server) planRestart(w http.ResponseWriter, r *http.Request) {
	name, o, err := posted[ask.ServiceOptions](w, r)
	if err != nil {
		s.fail(w, err)
		return
	}
	found, err := s.engine.PlanRestart(r.Context(), name, o)
	s.answer(w, found, err)
}

func (s *Server) save(w http.ResponseWriter, r *http.Request) {
	body, err := decodeFor(w, r, upProject)
	if err != nil {
		s.fail(w, err)
		return
	}
	saved, err := s.engine.Save(r.Context(), body.Project, body.Options)
	s.answer(w, saved, err)
}

// apply reads the file of a saved plan as the body; its options are in the URL.
func (s *Server) apply(w http.ResponseWriter, r *http.Request) {
	var o ask.ApplyOptions
	err := options(r, &o)
	var file []byte
	if err == nil {
		file, err = io.ReadAll(http.MaxBytesReader(w, r.Body, api.MaxBody))
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			err = errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot apply this plan: it is larger than %d MiB", api.MaxBody>>20))
		}
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	s.stream(w, r, func(ctx context.Context, out *stream) (api.Result, error) {
		return api.Result{}, s.engine.Apply(ctx, file, o, out.event)
	})
}

func (s *Server) dump(w http.ResponseWriter, r *http.Request) {
	name, body, err := posted[api.DumpRequest](w, r)
	if err == nil && body.Project != nil {
		err = checkProject(body.Project, name)
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	found, err := s.engine.Dump(r.Context(), name, body.Project)
	s.answer(w, found, err)
}
