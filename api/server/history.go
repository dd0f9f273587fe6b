package server

import (
	"net/http"

	"github.com/stackrun/stack/reconcile/ask"
)

func (s *Server) revision(w http.ResponseWriter, r *http.Request) {
	name, back, err := posted[int](w, r)
	if err != nil {
		s.fail(w, err)
		return
	}
	found, err := s.engine.Revision(r.Context(), name, back)
	s.answer(w, found, err)
}

func (s *Server) why(w http.ResponseWriter, r *http.Request) {
	name, o, err := queried(r, ask.WhyOptions{})
	if err != nil {
		s.fail(w, err)
		return
	}
	found, err := s.engine.Why(r.Context(), name, o)
	s.answer(w, found, err)
}

func (s *Server) gc(w http.ResponseWriter, r *http.Request) {
	var o ask.GCOptions
	if err := decode(w, r, &o); err != nil {
		s.fail(w, err)
		return
	}
	found, err := s.engine.GC(r.Context(), o)
	s.answer(w, found, err)
}
