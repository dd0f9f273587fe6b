// Package containers answers the operations of the Docker Engine API on containers, and on the commands that are executed in them.
//
// A create becomes a reconcile.Want (create.go, host.go, mounts.go, networks.go; decisions.go says of each field whether it is honoured), a reconcile.Detail what inspect and ps
// show (inspect.go, list.go). Streams of processes go over connections that are taken over (attach.go, exec.go).
//
// Called by api/docker. May touch: nothing; what it does it asks of its Engine.
package containers

import (
	"context"
	"io"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/execs"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/single"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
)

// Engine is what is needed of the engine: single.Containers. ref is an id, the beginning of one, or a name.
type Engine interface {
	Create(ctx context.Context, w single.Want) (id string, warnings []string, err error)
	Inspect(ctx context.Context, ref string) (single.Detail, error)
	List(ctx context.Context) ([]single.Detail, error)
	Sizes(ctx context.Context, d single.Detail) (written, all int64, err error)

	Start(ctx context.Context, ref string) (already bool, err error)
	Stop(ctx context.Context, ref string, o single.StopOptions) (already bool, err error)
	Restart(ctx context.Context, ref string, o single.StopOptions) error
	Kill(ctx context.Context, ref, signal string) error
	Pause(ctx context.Context, ref string) error
	Unpause(ctx context.Context, ref string) error
	Remove(ctx context.Context, ref string, o single.RemoveOptions) error
	Rename(ctx context.Context, ref, name string) error
	Update(ctx context.Context, ref string, change single.Change) error
	Prune(ctx context.Context, which func(single.Detail) bool) (ids []string, freed int64, err error)
	Wait(ctx context.Context, ref string, what single.WaitFor) (wait func(context.Context) (single.WaitEnd, error), err error)

	Attach(ctx context.Context, ref string, streams process.IO, ready func()) error
	Resize(ctx context.Context, ref string, size process.WinSize) error
	Logs(ctx context.Context, ref string, o single.Logs) (read func(ctx context.Context, each func(ask.LogEntry) error) error, err error)
	Processes(ctx context.Context, ref string) ([]process.Info, error)
	Usage(ctx context.Context, ref string) (id, name string, u *process.Usage, err error)

	CreateExec(ctx context.Context, ref string, w execs.Want) (id string, err error)
	BeginExec(ctx context.Context, id string, o execs.Start) (execs.Detail, error)
	RunExec(ctx context.Context, id string, detach bool, streams process.IO) error
	InspectExec(id string) (execs.Detail, error)
	ResizeExec(ctx context.Context, id string, size process.WinSize) error
	Execs(container string) []string

	Connect(ctx context.Context, ref, network string, at plan.Endpoint) error
	Disconnect(ctx context.Context, ref, network string) error

	CopyIn(ctx context.Context, ref string, o single.CopyIn, r io.Reader) error
	CopyOut(ctx context.Context, ref string, o runtime.CopyOut, w io.Writer) error
	Changes(ctx context.Context, ref string) ([]image.Change, error)
	Export(ctx context.Context, ref string, w io.Writer) error
}

type handlers struct{ engine Engine }

// Routes are the operations of this package.
func Routes(e Engine) []wire.Route {
	h := &handlers{e}
	return []wire.Route{
		{Method: "GET", Path: "/containers/json", Handle: h.list},
		{Method: "POST", Path: "/containers/create", Handle: h.create},
		{Method: "GET", Path: "/containers/{id}/json", Handle: h.inspect},
		{Method: "GET", Path: "/containers/{id}/top", Handle: h.top},
		{Method: "GET", Path: "/containers/{id}/logs", Handle: h.logs},
		{Method: "GET", Path: "/containers/{id}/changes", Handle: h.changes},
		{Method: "GET", Path: "/containers/{id}/export", Handle: h.export},
		{Method: "GET", Path: "/containers/{id}/stats", Handle: h.stats},
		{Method: "POST", Path: "/containers/{id}/resize", Handle: h.resize},
		{Method: "POST", Path: "/containers/{id}/start", Handle: h.start},
		{Method: "POST", Path: "/containers/{id}/stop", Handle: h.stop},
		{Method: "POST", Path: "/containers/{id}/restart", Handle: h.restart},
		{Method: "POST", Path: "/containers/{id}/kill", Handle: h.kill},
		{Method: "POST", Path: "/containers/{id}/update", Handle: h.update},
		{Method: "POST", Path: "/containers/{id}/rename", Handle: h.rename},
		{Method: "POST", Path: "/containers/{id}/pause", Handle: h.pause},
		{Method: "POST", Path: "/containers/{id}/unpause", Handle: h.unpause},
		{Method: "POST", Path: "/containers/{id}/attach", Handle: h.attach},
		{Method: "POST", Path: "/containers/{id}/wait", Handle: h.wait},
		{Method: "DELETE", Path: "/containers/{id}", Handle: h.remove},
		{Method: "HEAD", Path: "/containers/{id}/archive", Handle: h.statArchive},
		{Method: "GET", Path: "/containers/{id}/archive", Handle: h.getArchive},
		{Method: "PUT", Path: "/containers/{id}/archive", Handle: h.putArchive},
		{Method: "POST", Path: "/containers/prune", Handle: h.prune},
		{Method: "POST", Path: "/networks/{id...}/connect", Handle: h.connect},
		{Method: "POST", Path: "/networks/{id...}/disconnect", Handle: h.disconnect},
		{Method: "POST", Path: "/containers/{id}/exec", Handle: h.createExec},
		{Method: "POST", Path: "/exec/{id}/start", Handle: h.startExec},
		{Method: "POST", Path: "/exec/{id}/resize", Handle: h.resizeExec},
		{Method: "GET", Path: "/exec/{id}/json", Handle: h.inspectExec},
	}
}
