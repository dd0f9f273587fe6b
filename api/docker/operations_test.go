package docker

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/common"

	"github.com/stackrun/stack/api/docker/wire"
)

// row is one of the table: method, path, what is so.
var row = regexp.MustCompile("^\\| (GET|HEAD|POST|PUT|DELETE) \\| `([^`]+)` \\| (served|refused) \\|")

// TestDocumented: docs/engine-api.md has every operation once, and says of each whether it is served as it is.
func TestDocumented(t *testing.T) {
	f, err := os.Open("../../docs/engine-api.md")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	written := map[string]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		if m := row.FindStringSubmatch(s.Text()); m != nil {
			name := m[1] + " " + m[2]
			if written[name] != "" {
				t.Errorf("%s is there twice", name)
			}
			written[name] = m[3]
		}
	}
	served := routes(Engines{}, Options{})
	for _, o := range operations {
		there := slices.ContainsFunc(served, func(r wire.Route) bool { return r.Method == o.Method && r.Path == o.Path })
		if there != (o.why == nil) {
			t.Errorf("%s %s is served: %v, and has a reason not to be: %v", o.Method, o.Path, there, o.why != nil)
		}
	}
	for _, r := range served {
		if !slices.ContainsFunc(operations, func(o operation) bool { return o.Method == r.Method && o.Path == r.Path }) {
			t.Errorf("%s is served and no operation of the API", r)
		}
	}
	for is, routes := range map[string][]wire.Route{"served": served, "refused": refused()} {
		for _, r := range routes {
			name := r.Method + " " + strings.ReplaceAll(r.Path, "...", "")
			if written[name] != is {
				t.Errorf("%s is %s, and docs/engine-api.md says %q", name, is, written[name])
			}
			delete(written, name)
		}
	}
	for name := range written {
		t.Errorf("docs/engine-api.md has %s, and the API has not", name)
	}
}

// TestRefused: who asks for what is not served is told so by name, with docker's status.
func TestRefused(t *testing.T) {
	h := New(Engines{}, Options{})
	for _, c := range []struct {
		method, path string
		status       int
		text         string
	}{
		{"GET", "/v1.50/services", http.StatusServiceUnavailable, "This node is not a swarm manager"},
		{"POST", "/plugins/vieux/sshfs/enable", http.StatusNotImplemented, "stack has no plugins"},
		{"GET", "/plugins/vieux/sshfs/json", http.StatusNotFound, "No such plugin"},
		{"POST", "/build/cancel", http.StatusNotImplemented, "hanging up"},
		{"POST", "/session", http.StatusBadRequest, "h2c"},
		{"POST", "/grpc", http.StatusBadRequest, "h2c"},
		{"GET", "/nonsense", http.StatusNotFound, "page not found"},
		{"PATCH", "/version", http.StatusMethodNotAllowed, "PATCH"},
		{"GET", "/v1.99/version", http.StatusBadRequest, "client version 1.99 is too new. Maximum supported API version is 1.51"},
		{"GET", "/v1.12/version", http.StatusBadRequest, "client version 1.12 is too old. Minimum supported API version is 1.40"},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		var body common.ErrorResponse
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != c.status || !strings.Contains(body.Message, c.text) {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
		}
	}
}
