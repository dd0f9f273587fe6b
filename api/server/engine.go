package server

import (
	"context"
	"io"

	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/runtime/archive"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

// Engine is what the server stands in front of: *reconcile.Engine. All methods are safe
// for concurrent use, and end early when ctx does.
type Engine interface {
	Up(ctx context.Context, p *spec.Project, o ask.UpOptions, s event.Sink) error
	Down(ctx context.Context, project string, o ask.DownOptions, s event.Sink) error
	Start(ctx context.Context, project string, o ask.ServiceOptions, s event.Sink) error
	Stop(ctx context.Context, project string, o ask.ServiceOptions, s event.Sink) error
	Restart(ctx context.Context, project string, o ask.ServiceOptions, s event.Sink) error
	Kill(ctx context.Context, project string, o ask.ServiceOptions, s event.Sink) error
	Pause(ctx context.Context, project string, o ask.ServiceOptions, s event.Sink) error
	Unpause(ctx context.Context, project string, o ask.ServiceOptions, s event.Sink) error
	Remove(ctx context.Context, project string, o ask.ServiceOptions, s event.Sink) error
	Build(ctx context.Context, p *spec.Project, o ask.BuildOptions, s event.Sink) error
	Pull(ctx context.Context, p *spec.Project, services []string, policy string, s event.Sink) error
	Push(ctx context.Context, p *spec.Project, o ask.PushOptions, s event.Sink) error
	// Commit makes an image of what a container of a service has written.
	Commit(ctx context.Context, project string, o ask.CommitOptions, s event.Sink) (image.Info, error)

	// Plan says what Up would do, Drift how the host differs from the file of the last Up; neither changes anything.
	Plan(ctx context.Context, p *spec.Project, o ask.UpOptions) (*ask.Preview, error)
	Drift(ctx context.Context, project string) (*ask.Preview, error)
	// PlanRestart says what Restart would do.
	PlanRestart(ctx context.Context, project string, o ask.ServiceOptions) (*ask.Preview, error)
	// Save is Plan with a file that Apply carries out, exactly that or nothing.
	Save(ctx context.Context, p *spec.Project, o ask.UpOptions) (*ask.Saved, error)
	Apply(ctx context.Context, file []byte, o ask.ApplyOptions, s event.Sink) error

	// History is what was done to project, oldest first; Revision is the project as it was applied so many steps before.
	History(ctx context.Context, project string) ([]history.Entry, error)
	Revision(ctx context.Context, project string, back int) (*ask.Revision, error)
	// Why says how the containers of a service came to be what they are.
	Why(ctx context.Context, project string, o ask.WhyOptions) (*ask.Why, error)
	// Dump is everything that a plan of p is made of; without p, of the project's last up.
	Dump(ctx context.Context, project string, p *spec.Project) (*ask.Dump, error)
	// GC finds what nothing has any more, and removes it unless o says otherwise.
	GC(ctx context.Context, o ask.GCOptions) (*ask.Garbage, error)

	// Run and Exec return how the process ended; an error only when it could not be run.
	Run(ctx context.Context, p *spec.Project, o ask.RunOptions, io process.IO, s event.Sink) (process.Exit, error)
	Exec(ctx context.Context, project string, o ask.ExecOptions, io process.IO) (process.Exit, error)
	// Attach returns how the container ended that the streams were connected to.
	Attach(ctx context.Context, project string, o ask.AttachOptions, io process.IO) (process.Exit, error)

	// CopyIn writes a tar stream into the containers of a service that o means; CopyOut and Export write one of what a container has.
	CopyIn(ctx context.Context, project string, o ask.CopyInOptions, r io.Reader, s event.Sink) error
	CopyOut(ctx context.Context, project string, o ask.CopyOutOptions, w io.Writer, s event.Sink) error
	Export(ctx context.Context, project string, o ask.ExportOptions, w io.Writer, s event.Sink) error

	// CompareFiles says which files a container of a service has, RemoveFiles removes some; both answer in the order of the request.
	CompareFiles(ctx context.Context, project string, o ask.FilesOptions) ([]archive.Difference, error)
	RemoveFiles(ctx context.Context, project string, o ask.FilesOptions) ([]archive.Difference, error)

	// Containers is every container of project, of every state.
	Containers(ctx context.Context, project string) ([]ask.Container, error)
	Projects(ctx context.Context) ([]ask.ProjectSummary, error)
	// Stats is what project's containers use now, Top what runs in them.
	Stats(ctx context.Context, project string) ([]ask.ContainerStats, error)
	Top(ctx context.Context, project string) ([]ask.ContainerProcesses, error)
	// Images is what project's containers were made from, Volumes the volumes that were made for it.
	Images(ctx context.Context, project string) ([]ask.ContainerImage, error)
	Volumes(ctx context.Context, project string) ([]ask.Volume, error)
	Snapshots
	Logs(ctx context.Context, project string, o ask.LogOptions, each func(ask.LogEntry) error) error
	// Events delivers what happens to project until ctx ends or the time that o says; then the channel is closed.
	Events(ctx context.Context, project string, o event.Window) <-chan event.Event
	Load(ctx context.Context, r io.Reader, s event.Sink) ([]image.Info, error)

	// Idle says that nothing needs a daemon: no container runs, nothing waits to be restarted.
	Idle() bool
	Close(ctx context.Context) error
}
