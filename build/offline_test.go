package build_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stackrun/stack/build"
	"github.com/stackrun/stack/internal/errdefs"
)

// TestOffline: a build that may fetch nothing is made of what is here, and what is not here is an error with its place, also where only the build itself finds out.
func TestOffline(t *testing.T) {
	h := newHost(t)
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	h.make("FROM busybox\nRUN echo a >/a\n", func(r *build.Request) { r.Offline, r.Pull = true, true })
	h.make("FROM busybox\nONBUILD COPY --from="+host+"/late:1 /x /x\n", func(r *build.Request) { r.Tags = []string{"trigger:1"} })
	for text, what := range map[string]string{
		"FROM " + host + "/base:1\n":                                                    host + "/base:1",
		"FROM busybox\nCOPY --from=" + host + "/base:1 /a /b\n":                         host + "/base:1",
		"FROM busybox\nRUN --mount=type=bind,target=/m,from=" + host + "/base:1 echo\n": host + "/base:1",
		"FROM busybox\nADD " + server.URL + "/file /file\n":                             server.URL + "/file",
		"FROM trigger:1\n": host + "/late:1",
		"FROM busybox AS unused\nADD " + server.URL + "/x /x\nFROM trigger:1\n": host + "/late:1",
	} {
		r := build.Request{Context: h.context, Inline: text, Tags: []string{"off:1"}, Offline: true}
		_, err := h.build.Build(t.Context(), r, nil)
		var lack *build.OfflineError
		if !errors.As(err, &lack) || lack.What != what || !errors.Is(err, errdefs.ErrNotFound) {
			t.Errorf("%q: error is %v, expected one for %s", text, err, what)
		}
		if at := (*build.Error)(nil); !errors.As(err, &at) || at.Line == 0 {
			t.Errorf("%q: error is %v, expected a place", text, err)
		}
		lacks, err := h.build.Lacks(t.Context(), r, func(string) bool { return false })
		if known := !strings.Contains(text, "trigger"); err != nil || known != (len(lacks) == 1 && lacks[0].Line > 0 && strings.Contains(lacks[0].Error(), what)) {
			t.Errorf("%q lacks %v (%v), expected %s: %v", text, lacks, err, what, known)
		}
	}
	all, err := h.build.Lacks(t.Context(), build.Request{Context: h.context, Inline: "FROM busybox AS a\nFROM x/awaited:1 AS b\nFROM x/b:1 AS c\nCOPY --from=a / /\nCOPY --from=b / /\nCOPY --from=x/b:1 / /\nADD http://x/f /\n", Offline: true},
		func(ref string) bool { return ref == "x/awaited:1" })
	var what []string
	for _, e := range all {
		var lack *build.OfflineError
		if errors.As(e, &lack) {
			what = append(what, lack.What)
		}
	}
	if want := []string{"x/b:1", "http://x/f"}; err != nil || !slices.Equal(what, want) {
		t.Errorf("it lacks %q (%v), expected %q: each once, and nothing that is here or will be", what, err, want)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the server was asked %d times", n)
	}
}
