package session_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/cmd/stack/stacktest"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

// The live lines are done with before the first byte of the process, and end as lines do: the terminal is raw only afterwards.
func TestRunSettlesProgressFirst(t *testing.T) {
	sandbox.Require(t)
	u := stacktest.NewPerson(t, &apitest.Engine{OnRun: func(_ context.Context, _ *spec.Project, o ask.RunOptions, streams process.IO, sink event.Sink) (process.Exit, error) {
		sink(event.Event{Kind: "container", Name: "shop-db-1", Service: "db", Phase: event.Working, Text: "Starting"})
		sink(event.Event{Kind: "network", Name: "shop_default", Phase: event.Done, Text: "Created"})
		sink(event.Event{Kind: "container", Name: o.Name, Service: "web", Phase: event.Done, Text: "Created"})
		fmt.Fprint(streams.Stdout, "ready>\r\n")
		sink(event.Event{Kind: "container", Name: "shop-db-1", Service: "db", Phase: event.Done, Text: "Started"})
		key := make([]byte, 1)
		if _, err := io.ReadFull(streams.Stdin, key); err != nil {
			return process.Exit{}, err
		}
		fmt.Fprintf(streams.Stdout, "key %d\r\n", key[0])
		return process.Exit{Code: 5}, nil
	}})
	s := u.Sit("run web sh")
	s.Sees("ready>")
	s.Press("\x03") // to the process, as a byte
	code, screen := s.Ends()
	before, after, _ := strings.Cut(screen, "ready>")
	if code != 5 || after != "\r\nkey 3\r\n" {
		t.Errorf("code %d, after the first byte: %q", code, after)
	}
	if !strings.Contains(before, "shop_default") || strings.Contains(strings.ReplaceAll(before, "\r\n", ""), "\n") {
		t.Errorf("before the first byte: %q", before)
	}
}
