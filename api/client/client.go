// Package client asks a daemon over the API of package api. It starts none and prints nothing.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sparsejson"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/spec"
)

// Client talks to the daemon on one socket, by a connection for each request. Safe for concurrent use.
type Client struct {
	// StateRoot is the one that is meant: a daemon that has another refuses. "" = any.
	StateRoot string
	// Launch starts a daemon and waits for it, when nobody answers for the reason why; nil = none is started.
	Launch func(ctx context.Context, why error) error
	// Replace asks a daemon of another version, before it has done anything for this client, to leave. It does if a command has started it and nobody
	// else is connected: then nobody answers, and Launch starts the next.
	Replace bool
	// Asked is called whenever a request has been sent, before its answer is read; nil = nothing.
	Asked func()

	socket, version string
	answered        atomic.Bool // a daemon has answered: it is ours
	ahead           atomic.Pointer[early]

	launching sync.Mutex // held while a daemon is started
	launched  int
}

// New makes a client of version for the daemon on socket. It does not connect.
func New(socket, version string) *Client { return &Client{socket: socket, version: version} }

// Connect asks who answers, and fails with api.ErrVersion in the tree when that is another build. Each request asks as much by the way: this is
// for those who need to know before they ask.
func (c *Client) Connect(ctx context.Context) (api.Version, error) {
	var v api.Version
	if err := c.get(ctx, "/v1/version", &v); err != nil {
		return v, err
	}
	if v.Version != c.version {
		return v, &api.Error{Kind: api.KindVersion, Message: api.VersionMessage(v, c.version)}
	}
	return v, nil
}

// Projects is every project that the daemon knows.
func (c *Client) Projects(ctx context.Context) ([]ask.ProjectSummary, error) {
	var all []ask.ProjectSummary
	return all, c.get(ctx, "/v1/projects", &all)
}

// Containers is every container of project, of every state.
func (c *Client) Containers(ctx context.Context, project string) ([]ask.Container, error) {
	var all []ask.Container
	return all, c.get(ctx, path(project, "containers"), &all)
}

// ContainersWithout is Containers with less of each.
func (c *Client) ContainersWithout(ctx context.Context, project string, o api.ContainersOptions) ([]ask.Container, error) {
	query, err := options(o)
	if err != nil {
		return nil, err
	}
	var all []ask.Container
	return all, c.get(ctx, path(project, "containers")+query, &all)
}

// Stats is what project's containers use now.
func (c *Client) Stats(ctx context.Context, project string) ([]ask.ContainerStats, error) {
	var all []ask.ContainerStats
	return all, c.get(ctx, path(project, "stats"), &all)
}

// Top is what runs in project's containers.
func (c *Client) Top(ctx context.Context, project string) ([]ask.ContainerProcesses, error) {
	var all []ask.ContainerProcesses
	return all, c.get(ctx, path(project, "top"), &all)
}

// Images is what project's containers were made from.
func (c *Client) Images(ctx context.Context, project string) ([]ask.ContainerImage, error) {
	var all []ask.ContainerImage
	return all, c.get(ctx, path(project, "images"), &all)
}

// Volumes are those that were made for project.
func (c *Client) Volumes(ctx context.Context, project string) ([]ask.Volume, error) {
	var all []ask.Volume
	return all, c.get(ctx, path(project, "volumes"), &all)
}

func (c *Client) Up(ctx context.Context, p *spec.Project, o ask.UpOptions, s event.Sink) error {
	return c.verb(ctx, p.Name, "up", api.UpRequest{Project: p, Options: o}, s)
}

func (c *Client) Build(ctx context.Context, p *spec.Project, o ask.BuildOptions, s event.Sink) error {
	return c.verb(ctx, p.Name, "build", api.BuildRequest{Project: p, Options: o}, s)
}

func (c *Client) Pull(ctx context.Context, p *spec.Project, services []string, policy string, s event.Sink) error {
	return c.verb(ctx, p.Name, "pull", api.PullRequest{Project: p, Services: services, Policy: policy}, s)
}

func (c *Client) Push(ctx context.Context, p *spec.Project, o ask.PushOptions, s event.Sink) error {
	return c.verb(ctx, p.Name, "push", api.PushRequest{Project: p, Options: o}, s)
}

// Commit makes an image of what a container of a service has written.
func (c *Client) Commit(ctx context.Context, project string, o ask.CommitOptions, s event.Sink) (api.Image, error) {
	result, err := c.did(ctx, project, "commit", o, s)
	if err == nil && len(result.Images) != 1 {
		err = errors.New("cannot read the daemon's answer: it has no image")
	}
	if err != nil {
		return api.Image{}, err
	}
	return result.Images[0], nil
}

func (c *Client) Down(ctx context.Context, project string, o ask.DownOptions, s event.Sink) error {
	return c.verb(ctx, project, "down", o, s)
}

func (c *Client) Start(ctx context.Context, project string, o ask.ServiceOptions, s event.Sink) error {
	return c.verb(ctx, project, "start", o, s)
}

func (c *Client) Stop(ctx context.Context, project string, o ask.ServiceOptions, s event.Sink) error {
	return c.verb(ctx, project, "stop", o, s)
}

func (c *Client) Restart(ctx context.Context, project string, o ask.ServiceOptions, s event.Sink) error {
	return c.verb(ctx, project, "restart", o, s)
}

func (c *Client) Kill(ctx context.Context, project string, o ask.ServiceOptions, s event.Sink) error {
	return c.verb(ctx, project, "kill", o, s)
}

func (c *Client) Pause(ctx context.Context, project string, o ask.ServiceOptions, s event.Sink) error {
	return c.verb(ctx, project, "pause", o, s)
}

func (c *Client) Unpause(ctx context.Context, project string, o ask.ServiceOptions, s event.Sink) error {
	return c.verb(ctx, project, "unpause", o, s)
}

func (c *Client) Remove(ctx context.Context, project string, o ask.ServiceOptions, s event.Sink) error {
	return c.verb(ctx, project, "remove", o, s)
}

// Logs calls each with every line, which is valid until each returns. It stops at each's first error and returns it.
func (c *Client) Logs(ctx context.Context, project string, o ask.LogOptions, each func(ask.LogEntry) error) error {
	query, err := options(o)
	if err != nil {
		return err
	}
	return c.frames(ctx, path(project, "logs")+query, each)
}

// Events calls s with what happens to project until ctx ends, or the time that o says.
func (c *Client) Events(ctx context.Context, project string, o event.Window, s event.Sink) error {
	query, err := options(o)
	if err != nil {
		return err
	}
	_, err = c.stream(ctx, request{method: http.MethodGet, path: path(project, "events") + query}, sinkEach(s))
	return err
}

// Load sends an archive, docker-archive or OCI layout. An error of r is the error of the load.
func (c *Client) Load(ctx context.Context, r io.Reader, s event.Sink) ([]api.Image, error) {
	result, err := c.stream(ctx, request{method: http.MethodPost, path: "/v1/images/load", stream: r}, sinkEach(s))
	return result.Images, err
}

// options are o as the query of a URL.
func options(o any) (string, error) {
	text, err := json.Marshal(o)
	return "?options=" + url.QueryEscape(string(text)), err
}

func path(project, rest string) string {
	return "/v1/projects/" + url.PathEscape(project) + "/" + rest
}

func (c *Client) verb(ctx context.Context, project, verb string, body any, s event.Sink) error {
	_, err := c.did(ctx, project, verb, body, s)
	return err
}

// did is verb for what comes to a result.
func (c *Client) did(ctx context.Context, project, verb string, body any, s event.Sink) (api.Result, error) {
	text, err := sparsejson.Marshal(body)
	if err != nil {
		return api.Result{}, err
	}
	return c.stream(ctx, request{method: http.MethodPost, path: path(project, verb), text: text}, sinkEach(s))
}

func (c *Client) get(ctx context.Context, path string, into any) error {
	return c.call(ctx, request{method: http.MethodGet, path: path}, into)
}

// call asks and decodes the answer.
func (c *Client) call(ctx context.Context, r request, into any) error {
	a, err := c.ask(ctx, r)
	if err != nil {
		return err
	}
	defer a.Close()
	if err := json.NewDecoder(a.Body).Decode(into); err != nil {
		return brokeOff(ctx, err)
	}
	return nil
}

// answeredError reads the error that an answer carries.
func answeredError(resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	var e api.Error
	if err := json.Unmarshal(text, &e); err != nil || e.Message == "" {
		return fmt.Errorf("cannot understand the stack daemon: it answered %s", resp.Status)
	}
	return &e
}

// brokeOff is for an answer that ended before its end.
func brokeOff(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errdefs.With(errdefs.ErrUnavailable, fmt.Errorf(
		"the stack daemon went away before it was done: %w\ncontainers run on; run the command again to go on from where it stopped", err))
}
