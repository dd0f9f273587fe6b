package wire

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stackrun/stack/internal/errdefs"
)

func said(pattern string) Route {
	return Route{Method: "GET", Path: pattern, Handle: func(w http.ResponseWriter, r *http.Request) error {
		fmt.Fprintf(w, "%s name=%s id=%s v=%s", pattern, r.PathValue("name"), r.PathValue("id"), VersionOf(r.Context()))
		return nil
	}}
}

func TestMux(t *testing.T) {
	var m Mux
	m.Add(said("/images/{name...}/json"), said("/images/{name...}/get"), said("/images/json"), said("/images/get"), said("/containers/{id}/json"), said("/containers/{id}"))
	for path, want := range map[string]string{
		"/v1.44/images/json": "/images/json name= id= v=1.44",
		"/images/json":       "/images/json name= id= v=1.51",
		"/v1.40/images/registry.local:5000/a/b/c:1/json": "/images/{name...}/json name=registry.local:5000/a/b/c:1 id= v=1.40",
		"/images/json/json":                    "/images/{name...}/json name=json id= v=1.51",
		"/images/get/get":                      "/images/{name...}/get name=get id= v=1.51",
		"/images/get":                          "/images/get name= id= v=1.51",
		"/containers/web/json":                 "/containers/{id}/json name= id=web v=1.51",
		"/containers/json":                     "/containers/{id} name= id=json v=1.51",
		"/containers//json":                    "404",
		"/containers/a/b/json":                 "404",
		"/images//json":                        "404",
		"/vx/containers/web/json":              "404",
		"/v1.51":                               "404",
		"/v1.39/images/json":                   "400",
		"/v1.52/images/json":                   "400",
		"/v2.0/images/json":                    "400",
		"/v0.99/images/json":                   "400",
		"/v1.99999999999999999999/images/json": "400",
		"/v10.1/images/json":                   "400",
	} {
		w := httptest.NewRecorder()
		m.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		got := w.Body.String()
		if w.Code != http.StatusOK {
			got = fmt.Sprint(w.Code)
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
		if w.Header().Get("Api-Version") != "1.51" || w.Header().Get("Ostype") != "linux" {
			t.Errorf("%s: header %v", path, w.Header())
		}
	}
}

func TestErrorsHaveDockersStatus(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
	}{
		{errdefs.With(errdefs.ErrNotFound, errors.New("x")), 404},
		{errdefs.With(errdefs.ErrAlreadyExists, errors.New("x")), 409},
		{fmt.Errorf("a: %w", errdefs.With(errdefs.ErrConflict, errors.New("x"))), 409},
		{errdefs.With(errdefs.ErrInvalidArgument, errors.New("x")), 400},
		{errdefs.With(errdefs.ErrNotSupported, errors.New("x")), 501},
		{errdefs.With(errdefs.ErrUnavailable, errors.New("x")), 503},
		{context.Canceled, 499},
		{errors.New("x"), 500},
		{WithStatus(403, errdefs.With(errdefs.ErrConflict, errors.New("x"))), 403},
		{ErrNotModified, 304},
	} {
		var m Mux
		m.Add(Route{Method: "POST", Path: "/x", Handle: func(http.ResponseWriter, *http.Request) error { return c.err }})
		w := httptest.NewRecorder()
		m.ServeHTTP(w, httptest.NewRequest("POST", "/x", nil))
		want := fmt.Sprintf("{\"message\":%q}\n", c.err.Error())
		if c.status == 304 {
			want = ""
		}
		if w.Code != c.status || w.Body.String() != want {
			t.Errorf("%v: %d %s", c.err, w.Code, w.Body)
		}
	}
	if WithStatus(403, nil) != nil {
		t.Error("nil is no error")
	}
}

// TestPanicIsAnswered: one request's fault is that request's.
func TestPanicIsAnswered(t *testing.T) {
	var m Mux
	m.Add(Route{Method: "GET", Path: "/x", Handle: func(http.ResponseWriter, *http.Request) error { panic("off by one") }})
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest("GET", "/x", nil))
	if w.Code != 500 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
