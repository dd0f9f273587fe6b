package server

import (
	"net/http"

	"github.com/stackrun/stack/api"
)

func (s *Server) plan(w http.ResponseWriter, r *http.Request) {
	var body api.UpRequest
	name, err := project(r)
	if err == nil {
		err = decode(w, r, &body)
	}
	if err == nil {
		err = checkProject(body.Project, name)
	}
	if err != nil {
		fail(w, err)
		return
	}
	found, err := s.engine.Plan(r.Context(), body.Project, body.Options)
	answer(w, found, err)
}

func (s *Server) drift(w http.ResponseWriter, r *http.Request) {
	name, err := project(r)
	if err != nil {
		fail(w, err)
		return
	}
	found, err := s.engine.Drift(r.Context(), name)
	answer(w, found, err)
}
