package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/spec"
)

func (s *Server) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/version", func(w http.ResponseWriter, r *http.Request) { s.answer(w, s.opt.Version, nil) })
	mux.HandleFunc("GET /v1/projects", s.projects)
	mux.HandleFunc("GET /v1/projects/{project}/containers", s.containers)
	mux.HandleFunc("GET /v1/projects/{project}/stats", question(s, s.engine.Stats))
	mux.HandleFunc("GET /v1/projects/{project}/top", question(s, s.engine.Top))
	mux.HandleFunc("GET /v1/projects/{project}/images", question(s, s.engine.Images))
	mux.HandleFunc("GET /v1/projects/{project}/volumes", question(s, s.engine.Volumes))
	s.snapshotRoutes(mux)
	mux.HandleFunc("GET /v1/projects/{project}/logs", s.logs)
	mux.HandleFunc("GET /v1/projects/{project}/events", s.events)
	mux.HandleFunc("GET /v1/projects/{project}/drift", question(s, s.engine.Drift))
	mux.HandleFunc("POST /v1/projects/{project}/plan-restart", s.planRestart)
	mux.HandleFunc("GET /v1/projects/{project}/history", question(s, s.engine.History))
	mux.HandleFunc("GET /v1/projects/{project}/why", s.why)
	mux.HandleFunc("POST /v1/projects/{project}/plan", s.plan)
	mux.HandleFunc("POST /v1/projects/{project}/save", s.save)
	mux.HandleFunc("POST /v1/projects/{project}/dump", s.dump)
	mux.HandleFunc("POST /v1/projects/{project}/revision", s.revision)
	mux.HandleFunc("POST /v1/plans/apply", s.apply)
	mux.HandleFunc("POST /v1/gc", s.gc)
	mux.HandleFunc("POST /v1/projects/{project}/up", s.up)
	mux.HandleFunc("POST /v1/projects/{project}/build", s.build)
	mux.HandleFunc("POST /v1/projects/{project}/pull", s.pull)
	mux.HandleFunc("POST /v1/projects/{project}/push", s.push)
	mux.HandleFunc("POST /v1/projects/{project}/commit", s.commit)
	mux.HandleFunc("POST /v1/projects/{project}/down", verb(s, s.engine.Down))
	mux.HandleFunc("POST /v1/projects/{project}/start", verb(s, s.engine.Start))
	mux.HandleFunc("POST /v1/projects/{project}/stop", verb(s, s.engine.Stop))
	mux.HandleFunc("POST /v1/projects/{project}/restart", verb(s, s.engine.Restart))
	mux.HandleFunc("POST /v1/projects/{project}/kill", verb(s, s.engine.Kill))
	mux.HandleFunc("POST /v1/projects/{project}/pause", verb(s, s.engine.Pause))
	mux.HandleFunc("POST /v1/projects/{project}/unpause", verb(s, s.engine.Unpause))
	mux.HandleFunc("POST /v1/projects/{project}/remove", verb(s, s.engine.Remove))
	mux.HandleFunc("POST /v1/projects/{project}/run", s.run)
	mux.HandleFunc("POST /v1/projects/{project}/exec", s.exec)
	mux.HandleFunc("POST /v1/projects/{project}/attach", s.attach)
	mux.HandleFunc("POST /v1/projects/{project}/copy-in", s.copyIn)
	mux.HandleFunc("POST /v1/projects/{project}/copy-out", tarStream(s, s.engine.CopyOut))
	mux.HandleFunc("POST /v1/projects/{project}/export", tarStream(s, s.engine.Export))
	mux.HandleFunc("POST /v1/projects/{project}/compare-files", files(s, s.engine.CompareFiles))
	mux.HandleFunc("POST /v1/projects/{project}/remove-files", files(s, s.engine.RemoveFiles))
	mux.HandleFunc("POST /v1/images/load", s.load)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("there is no %s %s in this API", r.Method, r.URL.Path)))
	})
}

// project is the one that the path names; nothing that is no such name reaches the engine.
func project(r *http.Request) (string, error) {
	name := r.PathValue("project")
	return name, spec.CheckProjectName(name)
}

// decodeFor reads the body of a request about the project that its path names; of gives the project in it.
func decodeFor[B any](w http.ResponseWriter, r *http.Request, of func(*B) *spec.Project) (*B, error) {
	name, body, err := posted[B](w, r)
	if err == nil {
		err = checkProject(of(&body), name)
	}
	return &body, err
}

func upProject(b *api.UpRequest) *spec.Project { return b.Project }

// checkProject says whether p is there, is the one that the path names, and has names such as a file may give.
func checkProject(p *spec.Project, path string) error {
	if p == nil {
		return errdefs.With(errdefs.ErrInvalidArgument, errors.New("cannot read the request: it has no project"))
	}
	if p.Name != path {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot read the request: its project is %q, its path says %q", p.Name, path))
	}
	// The loader has checked what it gave; this body may be somebody else's.
	if err := spec.CheckNames(p); err != nil {
		return err
	}
	return spec.CheckSharedPIDs(p)
}

func (s *Server) projects(w http.ResponseWriter, r *http.Request) {
	all, err := s.engine.Projects(r.Context())
	s.answer(w, all, err)
}

func (s *Server) up(w http.ResponseWriter, r *http.Request) {
	body, err := decodeFor(w, r, upProject)
	if err != nil {
		s.fail(w, err)
		return
	}
	s.stream(w, r, func(ctx context.Context, out *stream) (api.Result, error) {
		return api.Result{}, s.engine.Up(ctx, body.Project, body.Options, out.event)
	})
}

func (s *Server) build(w http.ResponseWriter, r *http.Request) {
	body, err := decodeFor(w, r, func(b *api.BuildRequest) *spec.Project { return b.Project })
	if err != nil {
		s.fail(w, err)
		return
	}
	s.stream(w, r, func(ctx context.Context, out *stream) (api.Result, error) {
		return api.Result{}, s.engine.Build(ctx, body.Project, body.Options, out.event)
	})
}

func (s *Server) pull(w http.ResponseWriter, r *http.Request) {
	body, err := decodeFor(w, r, func(b *api.PullRequest) *spec.Project { return b.Project })
	if err != nil {
		s.fail(w, err)
		return
	}
	s.stream(w, r, func(ctx context.Context, out *stream) (api.Result, error) {
		return api.Result{}, s.engine.Pull(ctx, body.Project, body.Services, body.Policy, out.event)
	})
}

func (s *Server) push(w http.ResponseWriter, r *http.Request) {
	body, err := decodeFor(w, r, func(b *api.PushRequest) *spec.Project { return b.Project })
	if err != nil {
		s.fail(w, err)
		return
	}
	s.stream(w, r, func(ctx context.Context, out *stream) (api.Result, error) {
		return api.Result{}, s.engine.Push(ctx, body.Project, body.Options, out.event)
	})
}

func (s *Server) commit(w http.ResponseWriter, r *http.Request) {
	name, options, err := posted[ask.CommitOptions](w, r)
	if err != nil {
		s.fail(w, err)
		return
	}
	s.stream(w, r, func(ctx context.Context, out *stream) (api.Result, error) {
		info, err := s.engine.Commit(ctx, name, options, out.event)
		if err != nil {
			return api.Result{}, err
		}
		return api.Result{Images: []api.Image{{ID: info.ID.String(), Refs: info.Refs}}}, nil
	})
}

// question is a handler for an engine's method that tells of the project of the path.
func question[T any](s *Server, ask func(context.Context, string) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name, err := project(r)
		if err != nil {
			s.fail(w, err)
			return
		}
		found, err := ask(r.Context(), name)
		s.answer(w, found, err)
	}
}

// verb is a handler for an engine's method that takes a project's name and options O.
func verb[O any](s *Server, do func(context.Context, string, O, event.Sink) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name, options, err := posted[O](w, r)
		if err != nil {
			s.fail(w, err)
			return
		}
		s.stream(w, r, func(ctx context.Context, out *stream) (api.Result, error) {
			return api.Result{}, do(ctx, name, options, out.event)
		})
	}
}

// posted reads the project of the path and the body.
func posted[B any](w http.ResponseWriter, r *http.Request) (name string, body B, err error) {
	if name, err = project(r); err == nil {
		err = decode(w, r, &body)
	}
	return name, body, err
}

// queried reads the project of the path and the options in the URL.
func queried[O any](r *http.Request, o O) (string, O, error) {
	name, err := project(r)
	if err == nil {
		err = options(r, &o)
	}
	return name, o, err
}

func (s *Server) containers(w http.ResponseWriter, r *http.Request) {
	name, o, err := queried(r, api.ContainersOptions{})
	if err != nil {
		s.fail(w, err)
		return
	}
	found, err := s.engine.Containers(r.Context(), name)
	if o.NoLabels {
		found = slices.Clone(found)
		for i := range found {
			found[i].Labels = nil
		}
	}
	s.answer(w, found, err)
}

// options reads those in the URL, an object in JSON, into o, which holds what is meant without them.
func options(r *http.Request, o any) error {
	text := r.URL.Query().Get("options")
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), o); err != nil {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot read the request: %v", err))
	}
	return nil
}

func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	name, options, err := queried(r, event.Window{})
	if err != nil {
		s.fail(w, err)
		return
	}
	s.stream(w, r, func(ctx context.Context, out *stream) (api.Result, error) {
		for e := range s.engine.Events(ctx, name, options) {
			out.event(e)
		}
		return api.Result{}, ctx.Err() // no error: the end of the time that was asked for
	})
}

func (s *Server) load(w http.ResponseWriter, r *http.Request) {
	s.fed(w, r, func(ctx context.Context, out *stream) (api.Result, error) {
		images, err := s.engine.Load(ctx, r.Body, out.event)
		var result api.Result
		for _, i := range images {
			result.Images = append(result.Images, api.Image{ID: i.ID.String(), Refs: i.Refs})
		}
		return result, err
	})
}

// fed is stream for a request whose body do reads.
func (s *Server) fed(w http.ResponseWriter, r *http.Request, do func(context.Context, *stream) (api.Result, error)) {
	// The answer begins while the body is still read. Such a connection is not used again: net/http would look for the
	// next request while the rest of this body is still being read.
	http.NewResponseController(w).EnableFullDuplex() //nolint:errcheck // HTTP/1.1 always can
	w.Header().Set("Connection", "close")
	s.stream(w, r, do)
	// To the end, or until the client has read why not and hangs up: closing with bytes unread would reset the
	// connection and take our last words with it (unix(7)).
	io.Copy(io.Discard, r.Body) //nolint:errcheck // nobody is left to tell
}
