package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/runtime/process"
)

func TestParseDetachKeys(t *testing.T) {
	for text, want := range map[string]string{
		"ctrl-p,ctrl-q": "\x10\x11", "ctrl-@": "\x00", "a,b,C": "abC", `ctrl-[,ctrl-\,ctrl-],ctrl-^,ctrl-_`: "\x1b\x1c\x1d\x1e\x1f", "ctrl-a,x": "\x01x",
	} {
		if got, err := parseDetachKeys(text); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "ctrl-", "ctrl-P", "ctrl-ä", "ab", "a,,b", "ctrl-1"} {
		if got, err := parseDetachKeys(text); err == nil || !strings.Contains(err.Error(), "invalid --detach-keys") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// What is typed goes through, but for the keys; what was only the beginning of them goes through when the next key says so.
func TestDetachable(t *testing.T) {
	for _, tt := range []struct {
		keys, typed, want string
		detached          bool
	}{
		{"pq", "hello\n", "hello\n", false},
		{"pq", "hepqllo", "he", true},
		{"pq", "pppq", "pp", true},
		{"pq", "prpq", "pr", true},
		{"aab", "aaab", "a", true},
		{"aab", "aacaa", "aacaa", false},
		{"pq", "p", "p", false},
		{"q", "xq", "x", true},
	} {
		for name, r := range map[string]io.Reader{"at once": strings.NewReader(tt.typed), "key by key": iotest.OneByteReader(strings.NewReader(tt.typed))} {
			detached := false
			d := &detachable{r: r, keys: []byte(tt.keys), detach: func() { detached = true }}
			if got, err := io.ReadAll(d); err != nil || string(got) != tt.want || detached != tt.detached {
				t.Errorf("%s in %q, %s: %q, detached %v, %v", tt.keys, tt.typed, name, got, detached, err)
			}
		}
	}
	broken := &detachable{r: io.MultiReader(strings.NewReader("ap"), iotest.ErrReader(errors.New("gone"))), keys: []byte("pq")}
	if got, err := io.ReadAll(broken); string(got) != "ap" || err == nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAttachReachesTheEngine(t *testing.T) {
	var got ask.AttachOptions
	u := newPerson(t, &apitest.Engine{
		OnContainers: func(context.Context, string) ([]ask.Container, error) {
			return []ask.Container{
				{Name: "shop-db-1", Service: "db", Replica: 1, State: "running", StdinOpen: true},
				{Name: "shop-web-1", Service: "web", Replica: 1, State: "exited"},
				{Name: "shop-web-2", Service: "web", Replica: 2, State: "running", TTY: true, StdinOpen: true},
			}, nil
		},
		OnAttach: func(_ context.Context, _ string, o ask.AttachOptions, streams process.IO) (process.Exit, error) {
			got = o
			io.WriteString(streams.Stdout, "out\n")
			io.WriteString(streams.Stderr, "err\n")
			return process.Exit{Code: 3}, nil
		},
	})
	for _, tt := range []struct {
		line string
		want ask.AttachOptions
	}{
		{"attach db", ask.AttachOptions{Service: "db", Stdin: true}},
		{"attach --no-stdin --sig-proxy=false db", ask.AttachOptions{Service: "db"}},
		{"attach --no-stdin --index 2 web", ask.AttachOptions{Service: "web", Index: 2}},
		{"attach --no-stdin web", ask.AttachOptions{Service: "web"}},
	} {
		code, out, errs := u.run(tt.line)
		if code != 3 || out != "out\n" || errs != "err\n" {
			t.Errorf("stack %s: code %d, %q, %q", tt.line, code, out, errs)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("stack %s: (-want +got)\n%s", tt.line, diff)
		}
	}
	for line, want := range map[string]string{
		"attach":                      "attach needs one service",
		"attach db web":               "attach needs one service",
		"attach nobody":               "no such service: nobody",
		"attach --detach-keys ab db":  "invalid --detach-keys",
		"attach web":                  "container shop-web-2: it has a terminal",
		"attach --index 7 web":        `service "web" has no container with number 7`,
		"attach --index 1 db --quiet": "unknown flag: --quiet",
	} {
		if code, out, errs := u.run(line); code != 1 || out != "" || !strings.Contains(errs, want) {
			t.Errorf("stack %s: code %d, %q, %q; want %q", line, code, out, errs, want)
		}
	}
}
