package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile"
	"github.com/stackrun/stack/spec"
)

// projectName is what a project may be called; nothing else in a URL reaches the engine.
var projectName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,127}$`)

func (s *Server) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/version", func(w http.ResponseWriter, r *http.Request) { answer(w, s.opt.Version, nil) })
	mux.HandleFunc("GET /v1/projects", s.projects)
	mux.HandleFunc("GET /v1/projects/{project}/containers", s.containers)
	mux.HandleFunc("GET /v1/projects/{project}/logs", s.logs)
	mux.HandleFunc("GET /v1/projects/{project}/events", s.events)
	mux.HandleFunc("GET /v1/projects/{project}/drift", s.drift)
	mux.HandleFunc("POST /v1/projects/{project}/plan", s.plan)
	mux.HandleFunc("POST /v1/projects/{project}/up", s.up)
	mux.HandleFunc("POST /v1/projects/{project}/pull", s.pull)
	mux.HandleFunc("POST /v1/projects/{project}/down", verb(s, s.engine.Down))
	mux.HandleFunc("POST /v1/projects/{project}/start", verb(s, s.engine.Start))
	mux.HandleFunc("POST /v1/projects/{project}/stop", verb(s, s.engine.Stop))
	mux.HandleFunc("POST /v1/projects/{project}/restart", verb(s, s.engine.Restart))
	mux.HandleFunc("POST /v1/projects/{project}/kill", verb(s, s.engine.Kill))
	mux.HandleFunc("POST /v1/projects/{project}/remove", verb(s, s.engine.Remove))
	mux.HandleFunc("POST /v1/projects/{project}/run", s.run)
	mux.HandleFunc("POST /v1/projects/{project}/exec", s.exec)
	mux.HandleFunc("POST /v1/images/load", s.load)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("there is no %s %s in this API", r.Method, r.URL.Path)))
	})
}

func project(r *http.Request) (string, error) {
	name := r.PathValue("project")
	if !projectName.MatchString(name) {
		return "", errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("invalid project name %q", name))
	}
	return name, nil
}

// checkProject says whether p is there, is the one that the path names, and has names such as a file may give.
func checkProject(p *spec.Project, path string) error {
	if p == nil {
		return errdefs.With(errdefs.ErrInvalidArgument, errors.New("cannot read the request: it has no project"))
	}
	if p.Name != path {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot read the request: its project is %q, its path says %q", p.Name, path))
	}
	// The loader has checked the names that it gave; this body may be somebody else's.
	return spec.CheckNames(p)
}

func (s *Server) projects(w http.ResponseWriter, r *http.Request) {
	all, err := s.engine.Projects(r.Context())
	answer(w, all, err)
}

func (s *Server) containers(w http.ResponseWriter, r *http.Request) {
	name, err := project(r)
	if err != nil {
		fail(w, err)
		return
	}
	all, err := s.engine.Containers(r.Context(), name)
	answer(w, all, err)
}

func (s *Server) up(w http.ResponseWriter, r *http.Request) {
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
	s.stream(w, r, func(ctx context.Context, out *stream) (api.Result, error) {
		return api.Result{}, s.engine.Up(ctx, body.Project, body.Options, out.event)
	})
}

func (s *Server) pull(w http.ResponseWriter, r *http.Request) {
	var body api.PullRequest
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
	s.stream(w, r, func(ctx context.Context, out *stream) (api.Result, error) {
		return api.Result{}, s.engine.Pull(ctx, body.Project, body.Services, body.Policy, out.event)
	})
}

// verb is a handler for an engine's method that takes a project's name and options O.
func verb[O any](s *Server, do func(context.Context, string, O, reconcile.Sink) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var options O
		name, err := project(r)
		if err == nil {
			err = decode(w, r, &options)
		}
		if err != nil {
			fail(w, err)
			return
		}
		s.stream(w, r, func(ctx context.Context, out *stream) (api.Result, error) {
			return api.Result{}, do(ctx, name, options, out.event)
		})
	}
}

func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	name, err := project(r)
	if err != nil {
		fail(w, err)
		return
	}
	s.stream(w, r, func(ctx context.Context, out *stream) (api.Result, error) {
		for e := range s.engine.Events(ctx, name) {
			out.event(e)
		}
		return api.Result{}, ctx.Err()
	})
}

func (s *Server) load(w http.ResponseWriter, r *http.Request) {
	// The answer begins while the body is still read. Such a connection is not used again: net/http would look for the
	// next request while the rest of this body is still being read.
	http.NewResponseController(w).EnableFullDuplex() //nolint:errcheck // HTTP/1.1 always can
	w.Header().Set("Connection", "close")
	s.stream(w, r, func(ctx context.Context, out *stream) (api.Result, error) {
		images, err := s.engine.Load(ctx, r.Body, out.event)
		var result api.Result
		for _, i := range images {
			result.Images = append(result.Images, api.Image{ID: i.ID.String(), Refs: i.Refs})
		}
		return result, err
	})
	// To the end, or until the client has read why not and hangs up: closing with bytes unread would reset the
	// connection and take our last words with it (unix(7)).
	io.Copy(io.Discard, r.Body) //nolint:errcheck // nobody is left to tell
}
