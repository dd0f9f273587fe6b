package session_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/cmd/stack/stacktest"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/runtime/process"
)

func TestAttachReachesTheEngine(t *testing.T) {
	var got ask.AttachOptions
	u := stacktest.NewPerson(t, &apitest.Engine{
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
		code, out, errs := u.Run(tt.line)
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
		if code, out, errs := u.Run(line); code != 1 || out != "" || !strings.Contains(errs, want) {
			t.Errorf("stack %s: code %d, %q, %q; want %q", line, code, out, errs, want)
		}
	}
}
