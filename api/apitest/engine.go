// Package apitest has an Engine for tests of the API and of the command: each method is a field.
package apitest

import (
	"context"
	"io"

	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/runtime/archive"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

// Engine answers by its fields. A nil field is errdefs.ErrNotSupported, or nothing where no error can be given.
type Engine struct {
	OnUp          func(context.Context, *spec.Project, ask.UpOptions, event.Sink) error
	OnDown        func(context.Context, string, ask.DownOptions, event.Sink) error
	OnVerb        func(ctx context.Context, verb, project string, o ask.ServiceOptions, s event.Sink) error
	OnBuild       func(context.Context, *spec.Project, ask.BuildOptions, event.Sink) error
	OnPush        func(context.Context, *spec.Project, ask.PushOptions, event.Sink) error
	OnCommit      func(context.Context, string, ask.CommitOptions, event.Sink) (image.Info, error)
	OnPull        func(context.Context, *spec.Project, []string, string, event.Sink) error
	OnPlan        func(context.Context, *spec.Project, ask.UpOptions) (*ask.Preview, error)
	OnDrift       func(context.Context, string) (*ask.Preview, error)
	OnPlanRestart func(context.Context, string, ask.ServiceOptions) (*ask.Preview, error)
	OnRun         func(context.Context, *spec.Project, ask.RunOptions, process.IO, event.Sink) (process.Exit, error)
	OnExec        func(context.Context, string, ask.ExecOptions, process.IO) (process.Exit, error)
	OnCopyIn      func(context.Context, string, ask.CopyInOptions, io.Reader, event.Sink) error
	OnCopyOut     func(context.Context, string, ask.CopyOutOptions, io.Writer, event.Sink) error
	OnFiles       func(ctx context.Context, verb, project string, o ask.FilesOptions) ([]archive.Difference, error)
	OnExport      func(context.Context, string, ask.ExportOptions, io.Writer, event.Sink) error
	OnAttach      func(context.Context, string, ask.AttachOptions, process.IO) (process.Exit, error)
	OnContainers  func(context.Context, string) ([]ask.Container, error)
	OnStats       func(context.Context, string) ([]ask.ContainerStats, error)
	OnTop         func(context.Context, string) ([]ask.ContainerProcesses, error)
	OnImages      func(context.Context, string) ([]ask.ContainerImage, error)
	OnVolumes     func(context.Context, string) ([]ask.Volume, error)
	OnProjects    func(context.Context) ([]ask.ProjectSummary, error)
	OnLogs        func(context.Context, string, ask.LogOptions, func(ask.LogEntry) error) error
	OnEvents      func(context.Context, string, event.Window) <-chan event.Event
	OnSave        func(context.Context, *spec.Project, ask.UpOptions) (*ask.Saved, error)
	OnApply       func(context.Context, []byte, ask.ApplyOptions, event.Sink) error
	OnHistory     func(context.Context, string) ([]history.Entry, error)
	OnRevision    func(context.Context, string, int) (*ask.Revision, error)
	OnWhy         func(context.Context, string, ask.WhyOptions) (*ask.Why, error)
	OnDump        func(context.Context, string, *spec.Project) (*ask.Dump, error)
	OnGC          func(context.Context, ask.GCOptions) (*ask.Garbage, error)
	OnLoad        func(context.Context, io.Reader, event.Sink) ([]image.Info, error)
	OnIdle        func() bool

	OnSnapshots
}

func (e *Engine) Up(ctx context.Context, p *spec.Project, o ask.UpOptions, s event.Sink) error {
	if e.OnUp == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnUp(ctx, p, o, s)
}

func (e *Engine) Down(ctx context.Context, project string, o ask.DownOptions, s event.Sink) error {
	if e.OnDown == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnDown(ctx, project, o, s)
}

func (e *Engine) verb(ctx context.Context, verb, project string, o ask.ServiceOptions, s event.Sink) error {
	if e.OnVerb == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnVerb(ctx, verb, project, o, s)
}

func (e *Engine) Start(ctx context.Context, project string, o ask.ServiceOptions, s event.Sink) error {
	return e.verb(ctx, "start", project, o, s)
}

func (e *Engine) Stop(ctx context.Context, project string, o ask.ServiceOptions, s event.Sink) error {
	return e.verb(ctx, "stop", project, o, s)
}

func (e *Engine) Restart(ctx context.Context, project string, o ask.ServiceOptions, s event.Sink) error {
	return e.verb(ctx, "restart", project, o, s)
}

func (e *Engine) Pause(ctx context.Context, project string, o ask.ServiceOptions, s event.Sink) error {
	return e.verb(ctx, "pause", project, o, s)
}

func (e *Engine) Unpause(ctx context.Context, project string, o ask.ServiceOptions, s event.Sink) error {
	return e.verb(ctx, "unpause", project, o, s)
}

func (e *Engine) Kill(ctx context.Context, project string, o ask.ServiceOptions, s event.Sink) error {
	return e.verb(ctx, "kill", project, o, s)
}

func (e *Engine) Remove(ctx context.Context, project string, o ask.ServiceOptions, s event.Sink) error {
	return e.verb(ctx, "remove", project, o, s)
}

func (e *Engine) Build(ctx context.Context, p *spec.Project, o ask.BuildOptions, s event.Sink) error {
	if e.OnBuild == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnBuild(ctx, p, o, s)
}

func (e *Engine) Pull(ctx context.Context, p *spec.Project, services []string, policy string, s event.Sink) error {
	if e.OnPull == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnPull(ctx, p, services, policy, s)
}

func (e *Engine) Plan(ctx context.Context, p *spec.Project, o ask.UpOptions) (*ask.Preview, error) {
	if e.OnPlan == nil {
		return nil, errdefs.ErrNotSupported
	}
	return e.OnPlan(ctx, p, o)
}

func (e *Engine) Drift(ctx context.Context, project string) (*ask.Preview, error) {
	if e.OnDrift == nil {
		return nil, errdefs.ErrNotSupported
	}
	return e.OnDrift(ctx, project)
}

func (e *Engine) PlanRestart(ctx context.Context, project string, o ask.ServiceOptions) (*ask.Preview, error) {
	if e.OnPlanRestart == nil {
		return nil, errdefs.ErrNotSupported
	}
	return e.OnPlanRestart(ctx, project, o)
}

func (e *Engine) Run(ctx context.Context, p *spec.Project, o ask.RunOptions, streams process.IO, s event.Sink) (process.Exit, error) {
	if e.OnRun == nil {
		return process.Exit{}, errdefs.ErrNotSupported
	}
	return e.OnRun(ctx, p, o, streams, s)
}

func (e *Engine) Exec(ctx context.Context, project string, o ask.ExecOptions, streams process.IO) (process.Exit, error) {
	if e.OnExec == nil {
		return process.Exit{}, errdefs.ErrNotSupported
	}
	return e.OnExec(ctx, project, o, streams)
}

func (e *Engine) CopyIn(ctx context.Context, project string, o ask.CopyInOptions, r io.Reader, s event.Sink) error {
	if e.OnCopyIn == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnCopyIn(ctx, project, o, r, s)
}

func (e *Engine) CopyOut(ctx context.Context, project string, o ask.CopyOutOptions, w io.Writer, s event.Sink) error {
	if e.OnCopyOut == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnCopyOut(ctx, project, o, w, s)
}

func (e *Engine) CompareFiles(ctx context.Context, project string, o ask.FilesOptions) ([]archive.Difference, error) {
	return e.files(ctx, "compare", project, o)
}

func (e *Engine) RemoveFiles(ctx context.Context, project string, o ask.FilesOptions) ([]archive.Difference, error) {
	return e.files(ctx, "remove", project, o)
}

func (e *Engine) files(ctx context.Context, verb, project string, o ask.FilesOptions) ([]archive.Difference, error) {
	if e.OnFiles == nil {
		return nil, errdefs.ErrNotSupported
	}
	return e.OnFiles(ctx, verb, project, o)
}

func (e *Engine) Export(ctx context.Context, project string, o ask.ExportOptions, w io.Writer, s event.Sink) error {
	if e.OnExport == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnExport(ctx, project, o, w, s)
}

func (e *Engine) Attach(ctx context.Context, project string, o ask.AttachOptions, streams process.IO) (process.Exit, error) {
	if e.OnAttach == nil {
		return process.Exit{}, errdefs.ErrNotSupported
	}
	return e.OnAttach(ctx, project, o, streams)
}

func (e *Engine) Containers(ctx context.Context, project string) ([]ask.Container, error) {
	if e.OnContainers == nil {
		return nil, nil
	}
	return e.OnContainers(ctx, project)
}

func (e *Engine) Stats(ctx context.Context, project string) ([]ask.ContainerStats, error) {
	if e.OnStats == nil {
		return nil, nil
	}
	return e.OnStats(ctx, project)
}

func (e *Engine) Top(ctx context.Context, project string) ([]ask.ContainerProcesses, error) {
	if e.OnTop == nil {
		return nil, nil
	}
	return e.OnTop(ctx, project)
}

func (e *Engine) Images(ctx context.Context, project string) ([]ask.ContainerImage, error) {
	if e.OnImages == nil {
		return nil, nil
	}
	return e.OnImages(ctx, project)
}

func (e *Engine) Volumes(ctx context.Context, project string) ([]ask.Volume, error) {
	if e.OnVolumes == nil {
		return nil, nil
	}
	return e.OnVolumes(ctx, project)
}

func (e *Engine) Projects(ctx context.Context) ([]ask.ProjectSummary, error) {
	if e.OnProjects == nil {
		return nil, nil
	}
	return e.OnProjects(ctx)
}

func (e *Engine) Logs(ctx context.Context, project string, o ask.LogOptions, each func(ask.LogEntry) error) error {
	if e.OnLogs == nil {
		return nil
	}
	return e.OnLogs(ctx, project, o, each)
}

func (e *Engine) Save(ctx context.Context, p *spec.Project, o ask.UpOptions) (*ask.Saved, error) {
	if e.OnSave == nil {
		return nil, errdefs.ErrNotSupported
	}
	return e.OnSave(ctx, p, o)
}

func (e *Engine) Apply(ctx context.Context, file []byte, o ask.ApplyOptions, s event.Sink) error {
	if e.OnApply == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnApply(ctx, file, o, s)
}

func (e *Engine) History(ctx context.Context, project string) ([]history.Entry, error) {
	if e.OnHistory == nil {
		return nil, errdefs.ErrNotSupported
	}
	return e.OnHistory(ctx, project)
}

func (e *Engine) Revision(ctx context.Context, project string, back int) (*ask.Revision, error) {
	if e.OnRevision == nil {
		return nil, errdefs.ErrNotSupported
	}
	return e.OnRevision(ctx, project, back)
}

func (e *Engine) Why(ctx context.Context, project string, o ask.WhyOptions) (*ask.Why, error) {
	if e.OnWhy == nil {
		return nil, errdefs.ErrNotSupported
	}
	return e.OnWhy(ctx, project, o)
}

func (e *Engine) Dump(ctx context.Context, project string, p *spec.Project) (*ask.Dump, error) {
	if e.OnDump == nil {
		return nil, errdefs.ErrNotSupported
	}
	return e.OnDump(ctx, project, p)
}

func (e *Engine) GC(ctx context.Context, o ask.GCOptions) (*ask.Garbage, error) {
	if e.OnGC == nil {
		return nil, errdefs.ErrNotSupported
	}
	return e.OnGC(ctx, o)
}

func (e *Engine) Events(ctx context.Context, project string, o event.Window) <-chan event.Event {
	if e.OnEvents == nil {
		ch := make(chan event.Event)
		context.AfterFunc(ctx, func() { close(ch) })
		return ch
	}
	return e.OnEvents(ctx, project, o)
}

func (e *Engine) Push(ctx context.Context, p *spec.Project, o ask.PushOptions, s event.Sink) error {
	if e.OnPush == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnPush(ctx, p, o, s)
}

func (e *Engine) Commit(ctx context.Context, project string, o ask.CommitOptions, s event.Sink) (image.Info, error) {
	if e.OnCommit == nil {
		return image.Info{}, errdefs.ErrNotSupported
	}
	return e.OnCommit(ctx, project, o, s)
}

func (e *Engine) Load(ctx context.Context, r io.Reader, s event.Sink) ([]image.Info, error) {
	if e.OnLoad == nil {
		return nil, errdefs.ErrNotSupported
	}
	return e.OnLoad(ctx, r, s)
}

func (e *Engine) Idle() bool { return e.OnIdle == nil || e.OnIdle() }

func (e *Engine) Close(context.Context) error { return nil }
