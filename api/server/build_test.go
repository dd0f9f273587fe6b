package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/spec"
)

// output is what a step of a build writes.
func output(step, text string) event.Event {
	return event.Event{Kind: "image", Name: "shop-web", Phase: event.Working, Text: "Building", Detail: step, Output: []byte(text)}
}

// TestBuildTellsEveryStepAndAllOutput: nothing of it is taken for progress of one thing, of which only the last is of interest.
func TestBuildTellsEveryStepAndAllOutput(t *testing.T) {
	var got ask.BuildOptions
	c, _, _ := serve(t, &apitest.Engine{OnBuild: func(_ context.Context, p *spec.Project, o ask.BuildOptions, s event.Sink) error {
		got = o
		for i := range 100 {
			step := "[1/2]"
			if i >= 50 {
				step = "[2/2]"
			}
			s(event.Event{Kind: "image", Name: "shop-web", Phase: event.Working, Text: "Building", Detail: step + " RUN " + string(rune('a'+i%26))})
			s(output(step, "x"))
			s(output(step, "y\n"))
		}
		return nil
	}})
	steps, text := 0, map[string]string{}
	err := c.Build(context.Background(), project(), ask.BuildOptions{Services: []string{"web"}, Args: map[string]string{"A": "b"}, NoCache: true}, func(e event.Event) {
		if len(e.Output) == 0 {
			steps++
		}
		text[e.Detail[:5]] += string(e.Output)
	})
	if want := strings.Repeat("xy\n", 50); err != nil || steps != 100 || text["[1/2]"] != want || text["[2/2]"] != want {
		t.Errorf("%v: %d steps, %q", err, steps, text)
	}
	if !got.NoCache || got.Args["A"] != "b" || len(got.Services) != 1 {
		t.Errorf("options: %+v", got)
	}
}

// TestOutputOfABuildIsBounded: a reader who does not read holds nobody up and fills no memory, and is told what it has missed.
func TestOutputOfABuildIsBounded(t *testing.T) {
	const total = 64 << 20
	written := make(chan struct{})
	_, _, socket := serve(t, &apitest.Engine{OnBuild: func(_ context.Context, _ *spec.Project, _ ask.BuildOptions, s event.Sink) error {
		chunk := strings.Repeat("x", 1<<15)
		for range total / len(chunk) {
			s(output("[1/2]", chunk))
		}
		s(event.Event{Kind: "image", Name: "shop-web", Phase: event.Done, Text: "Built"})
		close(written)
		return nil
	}})
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	req, _ := http.NewRequest("POST", "http://stack/v1/projects/shop/build", strings.NewReader(`{"project":{"Name":"shop"},"options":{}}`))
	req.Header.Set(api.VersionHeader, "1.2.3")
	if err := req.Write(conn); err != nil {
		t.Fatal(err)
	}
	<-written // although nobody has read a byte
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, told, built := 0, false, false
	for dec := json.NewDecoder(resp.Body); ; {
		var m api.Message
		if err := dec.Decode(&m); err != nil {
			t.Fatal(err)
		}
		if m.Done != nil {
			break
		}
		got += len(m.Event.Output)
		told = told || strings.Contains(string(m.Event.Output), "left out")
		built = built || m.Event.Text == "Built"
	}
	if got >= total/2 || !told || !built {
		t.Errorf("%d bytes of %d arrived; that some are missing is told: %v; the end: %v", got, total, told, built)
	}
}
