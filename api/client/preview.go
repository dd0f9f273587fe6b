package client

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/reconcile"
	"github.com/stackrun/stack/spec"
)

// Plan says what Up would do with p and o.
func (c *Client) Plan(ctx context.Context, p *spec.Project, o reconcile.UpOptions) (*reconcile.Preview, error) {
	text, err := json.Marshal(api.UpRequest{Project: p, Options: o})
	if err != nil {
		return nil, err
	}
	resp, err := c.do(ctx, http.MethodPost, path(p.Name, "plan"), bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	found := new(reconcile.Preview)
	if err := json.NewDecoder(resp.Body).Decode(found); err != nil {
		return nil, brokeOff(ctx, err)
	}
	return found, nil
}

// Drift says how the host differs from the file of project's last up.
func (c *Client) Drift(ctx context.Context, project string) (*reconcile.Preview, error) {
	found := new(reconcile.Preview)
	return found, c.get(ctx, path(project, "drift"), found)
}
