package server

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/spec"
)

// FuzzRequest: whatever a request says, it is answered, its handler does not panic, and what the engine is asked about has a name that a file could give.
func FuzzRequest(f *testing.F) {
	const shop = "/v1/projects/shop/"
	project := `{"Name":"shop","Services":{"web":{"Name":"web","Image":"app:1"}}}`
	for _, c := range []struct{ method, path, query, body string }{
		{"GET", "/v1/version", "", ""}, {"GET", "/v1/projects", "", ""},
		{"GET", shop + "containers", "", ""}, {"GET", shop + "drift", "", ""}, {"GET", shop + "history", "", ""},
		{"GET", shop + "logs", `options={"Tail":-1,"Services":null}`, ""}, {"GET", shop + "events", `options={"Since":"x"}`, ""}, {"GET", shop + "why", `options=[]`, ""},
		{"GET", "/v1/projects/..%2fx/containers", "", ""}, {"GET", "/v1/projects//containers", "", ""},
		{"POST", shop + "up", "", `{"Project":` + project + `,"Options":{"Scale":{"web":-1}}}`}, {"POST", shop + "up", "", `{"Project":null}`},
		{"POST", shop + "plan", "", `{"Project":{"Name":"other"}}`}, {"POST", shop + "save", "", `{"Project":` + project + `}{}`},
		{"POST", shop + "build", "", `{"Project":` + project + `}`}, {"POST", shop + "pull", "", `{"Project":` + project + `,"Policy":"x"}`},
		{"POST", shop + "dump", "", `{"Project":{"Name":"shop","Services":{"../x":{}}}}`}, {"POST", shop + "revision", "", `-1`}, {"POST", shop + "plan-restart", "", `null`},
		{"POST", shop + "run", "", `{"Project":` + project + `,"Options":{"Service":"web","Name":"../x"}}`}, {"POST", shop + "exec", "", `{"Service":"web","Command":null}`},
		{"POST", shop + "down", "", `{"Volumes":true}`}, {"POST", shop + "stop", "", `{"Timeout":-1,"X":1}`}, {"POST", shop + "kill", "", `{"Signal":"x"}`},
		{"POST", "/v1/plans/apply", `options={}`, `{}`}, {"POST", "/v1/gc", "", `{}`}, {"POST", "/v1/images/load", "", "x"},
	} {
		f.Add(c.method, c.path, c.query, []byte(c.body))
	}
	f.Fuzz(func(t *testing.T, method, path, query string, body []byte) {
		named := func(name string) error {
			if err := spec.CheckProjectName(name); err != nil {
				t.Errorf("%s %s %s: the engine is asked about project %q", method, path, body, name)
			}
			return nil
		}
		whole := func(p *spec.Project) error {
			if err := spec.CheckNames(p); err != nil {
				t.Errorf("%s %s %s: the engine gets %v", method, path, body, err)
			}
			return named(p.Name)
		}
		engine := &apitest.Engine{
			OnUp: func(_ context.Context, p *spec.Project, _ ask.UpOptions, _ event.Sink) error {
				return whole(p)
			},
			OnBuild: func(_ context.Context, p *spec.Project, _ ask.BuildOptions, _ event.Sink) error {
				return whole(p)
			},
			OnPull: func(_ context.Context, p *spec.Project, _ []string, _ string, _ event.Sink) error {
				return whole(p)
			},
			OnPlan: func(_ context.Context, p *spec.Project, _ ask.UpOptions) (*ask.Preview, error) {
				return &ask.Preview{}, whole(p)
			},
			OnSave: func(_ context.Context, p *spec.Project, _ ask.UpOptions) (*ask.Saved, error) {
				return &ask.Saved{}, whole(p)
			},
			OnDump: func(_ context.Context, name string, p *spec.Project) (*ask.Dump, error) {
				if p != nil {
					whole(p)
				}
				return &ask.Dump{}, named(name)
			},
			OnDown: func(_ context.Context, name string, _ ask.DownOptions, _ event.Sink) error {
				return named(name)
			},
			OnVerb: func(_ context.Context, _, name string, _ ask.ServiceOptions, _ event.Sink) error {
				return named(name)
			},
			OnDrift: func(_ context.Context, name string) (*ask.Preview, error) {
				return &ask.Preview{}, named(name)
			},
			OnPlanRestart: func(_ context.Context, name string, _ ask.ServiceOptions) (*ask.Preview, error) {
				return &ask.Preview{}, named(name)
			},
			OnContainers: func(_ context.Context, name string) ([]ask.Container, error) { return nil, named(name) },
			OnRevision:   func(_ context.Context, name string, _ int) (*ask.Revision, error) { return nil, named(name) },
			OnWhy: func(_ context.Context, name string, _ ask.WhyOptions) (*ask.Why, error) {
				return nil, named(name)
			},
			OnApply: func(context.Context, []byte, ask.ApplyOptions, event.Sink) error { return nil },
			OnLoad: func(_ context.Context, r io.Reader, _ event.Sink) ([]image.Info, error) {
				_, err := io.Copy(io.Discard, r)
				return nil, err
			},
		}
		r, err := http.NewRequestWithContext(t.Context(), method, "http://stack", bytes.NewReader(body))
		if err != nil {
			return
		}
		at, err := url.ParseRequestURI(path)
		if err != nil || !strings.HasPrefix(path, "/") {
			return
		}
		r.URL, r.Host = at, "stack"
		r.URL.RawQuery = query
		r.Header.Set(api.VersionHeader, "1")
		var log bytes.Buffer
		s := New(engine, Options{Version: api.Version{Version: "1"}, Log: slog.New(slog.NewTextHandler(&log, nil))})
		w := httptest.NewRecorder()
		s.handler().ServeHTTP(w, r)
		s.stop()
		if strings.Contains(log.String(), "panic") {
			t.Errorf("%s %s %s: %s", method, path, body, log.String())
		}
		if w.Header().Get(api.VersionHeader) == "" {
			t.Errorf("%s %s: who answered?", method, path)
		}
	})
}
