package wire

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
)

// Handler answers a request, or returns why not before it has begun to answer.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Route is an operation of the API and who answers it.
type Route struct {
	Method string
	// Path without a version. A segment {name} stands for one that is not empty, {name...} for one or more: Request.PathValue has them, decoded.
	Path   string
	Handle Handler
}

func (r Route) String() string { return r.Method + " " + r.Path }

// Mux finds the Route for a request. Its zero value has none.
type Mux struct {
	// Server is the header of that name.
	Server string
	Log    *slog.Logger // nil = nowhere
	routes []compiled
}

type compiled struct {
	Route
	segments []string
}

// Add adds routes. One without a wildcard goes before others, whatever their order. Panics when an operation is there already: the program is wrong.
func (m *Mux) Add(routes ...Route) {
	for _, r := range routes {
		if slices.ContainsFunc(m.routes, func(c compiled) bool { return c.String() == r.String() }) {
			panic("two routes for " + r.String())
		}
		m.routes = append(m.routes, compiled{r, segments(r.Path)})
	}
	slices.SortStableFunc(m.routes, func(a, b compiled) int { return strings.Count(a.Path, "{") - strings.Count(b.Path, "{") })
}

// Routes are those that were added.
func (m *Mux) Routes() []Route {
	var all []Route
	for _, c := range m.routes {
		all = append(all, c.Route)
	}
	return all
}

func segments(path string) []string { return strings.Split(strings.TrimPrefix(path, "/"), "/") }

func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Api-Version", Max.String())
	h.Set("Ostype", "linux")
	h.Set("Docker-Experimental", "false")
	if m.Server != "" {
		h.Set("Server", m.Server)
	}
	defer m.survive(w, r)
	v, path, named, err := splitVersion(r.URL.Path)
	if err != nil {
		Fail(w, err)
		return
	}
	if named {
		r = withVersion(r, v)
	}
	route, values, err := m.find(r.Method, path)
	if err != nil {
		Fail(w, err)
		return
	}
	for name, value := range values {
		r.SetPathValue(name, value)
	}
	if err := route.Handle(w, r); err != nil {
		Fail(w, err)
	}
}

// survive answers for a handler that panicked before it has answered. One that means to hang up does.
func (m *Mux) survive(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // a value to compare, says net/http
		panic(p)
	}
	if m.Log != nil {
		m.Log.Error("a request made the daemon panic", "request", r.Method+" "+r.URL.Path, "panic", p, "stack", string(debug.Stack()))
	}
	Fail(w, fmt.Errorf("the daemon has a fault, which its log tells of: %v", p))
}

func (m *Mux) find(method, path string) (Route, map[string]string, error) {
	at := segments(path)
	other := false
	for _, c := range m.routes {
		values, ok := match(c.segments, at)
		if !ok {
			continue
		}
		if c.Method == method {
			return c.Route, values, nil
		}
		other = true
	}
	if other {
		return Route{}, nil, WithStatus(http.StatusMethodNotAllowed, fmt.Errorf("%s has no method %s", path, method))
	}
	return Route{}, nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("page not found: there is no %s %s in the Docker Engine API %s", method, path, Max))
}

// match compares a route's segments with a path's. A {name...} takes as many as leave the rest a match.
func match(pattern, at []string) (map[string]string, bool) {
	if len(pattern) == 0 {
		return nil, len(at) == 0
	}
	name, wild := strings.CutPrefix(pattern[0], "{")
	name = strings.TrimSuffix(name, "}")
	name, many := strings.CutSuffix(name, "...")
	most := min(1, len(at))
	if many {
		most = len(at)
	}
	for n := most; n > 0; n-- {
		value := strings.Join(at[:n], "/")
		if !wild && value != pattern[0] || value == "" {
			continue
		}
		values, ok := match(pattern[1:], at[n:])
		if !ok {
			continue
		}
		if wild {
			if values == nil {
				values = map[string]string{}
			}
			values[name] = value
		}
		return values, true
	}
	return nil, false
}
