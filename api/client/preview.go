package client

import (
	"context"
	"net/http"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/internal/sparsejson"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/spec"
)

// Plan says what Up would do with p and o.
func (c *Client) Plan(ctx context.Context, p *spec.Project, o ask.UpOptions) (*ask.Preview, error) {
	found := new(ask.Preview)
	return found, c.post(ctx, path(p.Name, "plan"), api.UpRequest{Project: p, Options: o}, found)
}

// Save is Plan with a file that Apply can carry out.
func (c *Client) Save(ctx context.Context, p *spec.Project, o ask.UpOptions) (*ask.Saved, error) {
	found := new(ask.Saved)
	return found, c.post(ctx, path(p.Name, "save"), api.UpRequest{Project: p, Options: o}, found)
}

// Apply carries out the plan in file.
func (c *Client) Apply(ctx context.Context, file []byte, o ask.ApplyOptions, s event.Sink) error {
	query, err := options(o)
	if err != nil {
		return err
	}
	_, err = c.stream(ctx, request{method: http.MethodPost, path: "/v1/plans/apply" + query, text: file}, sinkEach(s))
	return err
}

// Drift says how the host differs from the file of project's last up.
func (c *Client) Drift(ctx context.Context, project string) (*ask.Preview, error) {
	found := new(ask.Preview)
	return found, c.get(ctx, path(project, "drift"), found)
}

// PlanRestart says what Restart would do.
func (c *Client) PlanRestart(ctx context.Context, project string, o ask.ServiceOptions) (*ask.Preview, error) {
	found := new(ask.Preview)
	return found, c.post(ctx, path(project, "plan-restart"), o, found)
}

// History is what was done to project, oldest first.
func (c *Client) History(ctx context.Context, project string) ([]history.Entry, error) {
	var all []history.Entry
	return all, c.get(ctx, path(project, "history"), &all)
}

// Revision is the project as it was applied so many steps before.
func (c *Client) Revision(ctx context.Context, project string, back int) (*ask.Revision, error) {
	found := new(ask.Revision)
	return found, c.post(ctx, path(project, "revision"), back, found)
}

// Why says how the containers of a service came to be what they are.
func (c *Client) Why(ctx context.Context, project string, o ask.WhyOptions) (*ask.Why, error) {
	query, err := options(o)
	if err != nil {
		return nil, err
	}
	found := new(ask.Why)
	return found, c.get(ctx, path(project, "why")+query, found)
}

// Dump is everything that a plan of p is made of; of the project's last up when p is nil.
func (c *Client) Dump(ctx context.Context, project string, p *spec.Project) (*ask.Dump, error) {
	found := new(ask.Dump)
	return found, c.post(ctx, path(project, "dump"), api.DumpRequest{Project: p}, found)
}

// GC finds what nothing has any more, and removes it unless o says otherwise.
func (c *Client) GC(ctx context.Context, o ask.GCOptions) (*ask.Garbage, error) {
	found := new(ask.Garbage)
	return found, c.post(ctx, "/v1/gc", o, found)
}

// post sends body and reads the answer.
func (c *Client) post(ctx context.Context, path string, body, into any) error {
	text, err := sparsejson.Marshal(body)
	if err != nil {
		return err
	}
	return c.call(ctx, request{method: http.MethodPost, path: path, text: text}, into)
}
