package api

import (
	"context"
	"io"

	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/reconcile"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/spec"
)

// Engine is what the daemon's API stands in front of: *reconcile.Engine. All methods are safe
// for concurrent use, and end early when ctx does.
type Engine interface {
	Up(ctx context.Context, p *spec.Project, o reconcile.UpOptions, s reconcile.Sink) error
	Down(ctx context.Context, project string, o reconcile.DownOptions, s reconcile.Sink) error
	Start(ctx context.Context, project string, o reconcile.ServiceOptions, s reconcile.Sink) error
	Stop(ctx context.Context, project string, o reconcile.ServiceOptions, s reconcile.Sink) error
	Restart(ctx context.Context, project string, o reconcile.ServiceOptions, s reconcile.Sink) error
	Kill(ctx context.Context, project string, o reconcile.ServiceOptions, s reconcile.Sink) error
	Pause(ctx context.Context, project string, o reconcile.ServiceOptions, s reconcile.Sink) error
	Unpause(ctx context.Context, project string, o reconcile.ServiceOptions, s reconcile.Sink) error
	Remove(ctx context.Context, project string, o reconcile.ServiceOptions, s reconcile.Sink) error
	Build(ctx context.Context, p *spec.Project, o reconcile.BuildOptions, s reconcile.Sink) error
	Pull(ctx context.Context, p *spec.Project, services []string, policy string, s reconcile.Sink) error
	Push(ctx context.Context, p *spec.Project, o reconcile.PushOptions, s reconcile.Sink) error
	// Commit makes an image of what a container of a service has written.
	Commit(ctx context.Context, project string, o reconcile.CommitOptions, s reconcile.Sink) (image.Info, error)

	// Plan says what Up would do, Drift how the host differs from the file of the last Up; neither changes anything.
	Plan(ctx context.Context, p *spec.Project, o reconcile.UpOptions) (*reconcile.Preview, error)
	Drift(ctx context.Context, project string) (*reconcile.Preview, error)
	// PlanRestart says what Restart would do.
	PlanRestart(ctx context.Context, project string, o reconcile.ServiceOptions) (*reconcile.Preview, error)
	// Save is Plan with a file that Apply carries out, exactly that or nothing.
	Save(ctx context.Context, p *spec.Project, o reconcile.UpOptions) (*reconcile.Saved, error)
	Apply(ctx context.Context, file []byte, o reconcile.ApplyOptions, s reconcile.Sink) error

	// History is what was done to project, oldest first; Revision is the project as it was applied so many steps before.
	History(ctx context.Context, project string) ([]history.Entry, error)
	Revision(ctx context.Context, project string, back int) (*reconcile.Revision, error)
	// Why says how the containers of a service came to be what they are.
	Why(ctx context.Context, project string, o reconcile.WhyOptions) (*reconcile.Why, error)
	// Dump is everything that a plan of p is made of; without p, of the project's last up.
	Dump(ctx context.Context, project string, p *spec.Project) (*reconcile.Dump, error)
	// GC finds what nothing has any more, and removes it unless o says otherwise.
	GC(ctx context.Context, o reconcile.GCOptions) (*reconcile.Garbage, error)

	// Run and Exec return how the process ended; an error only when it could not be run.
	Run(ctx context.Context, p *spec.Project, o reconcile.RunOptions, io runtime.IO, s reconcile.Sink) (runtime.Exit, error)
	Exec(ctx context.Context, project string, o reconcile.ExecOptions, io runtime.IO) (runtime.Exit, error)
	// Attach returns how the container ended that the streams were connected to.
	Attach(ctx context.Context, project string, o reconcile.AttachOptions, io runtime.IO) (runtime.Exit, error)

	// CopyIn writes a tar stream into the containers of a service that o means; CopyOut and Export write one of what a container has.
	CopyIn(ctx context.Context, project string, o reconcile.CopyInOptions, r io.Reader, s reconcile.Sink) error
	CopyOut(ctx context.Context, project string, o reconcile.CopyOutOptions, w io.Writer, s reconcile.Sink) error
	Export(ctx context.Context, project string, o reconcile.ExportOptions, w io.Writer, s reconcile.Sink) error

	// CompareFiles says which files a container of a service has, RemoveFiles removes some; both answer in the order of the request.
	CompareFiles(ctx context.Context, project string, o reconcile.FilesOptions) ([]reconcile.FileDifference, error)
	RemoveFiles(ctx context.Context, project string, o reconcile.FilesOptions) ([]reconcile.FileDifference, error)

	// Containers is every container of project, of every state.
	Containers(ctx context.Context, project string) ([]reconcile.Container, error)
	Projects(ctx context.Context) ([]reconcile.ProjectSummary, error)
	// Stats is what project's containers use now, Top what runs in them.
	Stats(ctx context.Context, project string) ([]reconcile.ContainerStats, error)
	Top(ctx context.Context, project string) ([]reconcile.ContainerProcesses, error)
	// Images is what project's containers were made from, Volumes the volumes that were made for it.
	Images(ctx context.Context, project string) ([]reconcile.ContainerImage, error)
	Volumes(ctx context.Context, project string) ([]reconcile.Volume, error)
	Logs(ctx context.Context, project string, o reconcile.LogOptions, each func(reconcile.LogEntry) error) error
	// Events delivers what happens to project until ctx ends or the time that o says; then the channel is closed.
	Events(ctx context.Context, project string, o reconcile.EventOptions) <-chan reconcile.Event
	Load(ctx context.Context, r io.Reader, s reconcile.Sink) ([]image.Info, error)

	// Idle says that nothing needs a daemon: no container runs, nothing waits to be restarted.
	Idle() bool
	Close(ctx context.Context) error
}
