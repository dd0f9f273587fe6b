// Package apitest has an Engine for tests of the API and of the command: each method is a field.
package apitest

import (
	"context"
	"io"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/spec"
)

var _ api.Engine = (*Engine)(nil)

// Engine answers by its fields. A nil field is errdefs.ErrNotSupported, or nothing where no error can be given.
type Engine struct {
	OnUp          func(context.Context, *spec.Project, reconcile.UpOptions, reconcile.Sink) error
	OnDown        func(context.Context, string, reconcile.DownOptions, reconcile.Sink) error
	OnVerb        func(ctx context.Context, verb, project string, o reconcile.ServiceOptions, s reconcile.Sink) error
	OnBuild       func(context.Context, *spec.Project, reconcile.BuildOptions, reconcile.Sink) error
	OnPush        func(context.Context, *spec.Project, reconcile.PushOptions, reconcile.Sink) error
	OnCommit      func(context.Context, string, reconcile.CommitOptions, reconcile.Sink) (image.Info, error)
	OnPull        func(context.Context, *spec.Project, []string, string, reconcile.Sink) error
	OnPlan        func(context.Context, *spec.Project, reconcile.UpOptions) (*reconcile.Preview, error)
	OnDrift       func(context.Context, string) (*reconcile.Preview, error)
	OnPlanRestart func(context.Context, string, reconcile.ServiceOptions) (*reconcile.Preview, error)
	OnRun         func(context.Context, *spec.Project, reconcile.RunOptions, runtime.IO, reconcile.Sink) (runtime.Exit, error)
	OnExec        func(context.Context, string, reconcile.ExecOptions, runtime.IO) (runtime.Exit, error)
	OnCopyIn      func(context.Context, string, reconcile.CopyInOptions, io.Reader, reconcile.Sink) error
	OnCopyOut     func(context.Context, string, reconcile.CopyOutOptions, io.Writer, reconcile.Sink) error
	OnFiles       func(ctx context.Context, verb, project string, o reconcile.FilesOptions) ([]reconcile.FileDifference, error)
	OnExport      func(context.Context, string, reconcile.ExportOptions, io.Writer, reconcile.Sink) error
	OnAttach      func(context.Context, string, reconcile.AttachOptions, runtime.IO) (runtime.Exit, error)
	OnContainers  func(context.Context, string) ([]reconcile.Container, error)
	OnStats       func(context.Context, string) ([]reconcile.ContainerStats, error)
	OnTop         func(context.Context, string) ([]reconcile.ContainerProcesses, error)
	OnImages      func(context.Context, string) ([]reconcile.ContainerImage, error)
	OnVolumes     func(context.Context, string) ([]reconcile.Volume, error)
	OnProjects    func(context.Context) ([]reconcile.ProjectSummary, error)
	OnLogs        func(context.Context, string, reconcile.LogOptions, func(reconcile.LogEntry) error) error
	OnEvents      func(context.Context, string, reconcile.EventOptions) <-chan reconcile.Event
	OnSave        func(context.Context, *spec.Project, reconcile.UpOptions) (*reconcile.Saved, error)
	OnApply       func(context.Context, []byte, reconcile.ApplyOptions, reconcile.Sink) error
	OnHistory     func(context.Context, string) ([]history.Entry, error)
	OnRevision    func(context.Context, string, int) (*reconcile.Revision, error)
	OnWhy         func(context.Context, string, reconcile.WhyOptions) (*reconcile.Why, error)
	OnDump        func(context.Context, string, *spec.Project) (*reconcile.Dump, error)
	OnGC          func(context.Context, reconcile.GCOptions) (*reconcile.Garbage, error)
	OnLoad        func(context.Context, io.Reader, reconcile.Sink) ([]image.Info, error)
	OnIdle        func() bool
}

func (e *Engine) Up(ctx context.Context, p *spec.Project, o reconcile.UpOptions, s reconcile.Sink) error {
	if e.OnUp == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnUp(ctx, p, o, s)
}

func (e *Engine) Down(ctx context.Context, project string, o reconcile.DownOptions, s reconcile.Sink) error {
	if e.OnDown == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnDown(ctx, project, o, s)
}

func (e *Engine) verb(ctx context.Context, verb, project string, o reconcile.ServiceOptions, s reconcile.Sink) error {
	if e.OnVerb == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnVerb(ctx, verb, project, o, s)
}

func (e *Engine) Start(ctx context.Context, project string, o reconcile.ServiceOptions, s reconcile.Sink) error {
	return e.verb(ctx, "start", project, o, s)
}

func (e *Engine) Stop(ctx context.Context, project string, o reconcile.ServiceOptions, s reconcile.Sink) error {
	return e.verb(ctx, "stop", project, o, s)
}

func (e *Engine) Restart(ctx context.Context, project string, o reconcile.ServiceOptions, s reconcile.Sink) error {
	return e.verb(ctx, "restart", project, o, s)
}

func (e *Engine) Pause(ctx context.Context, project string, o reconcile.ServiceOptions, s reconcile.Sink) error {
	return e.verb(ctx, "pause", project, o, s)
}

func (e *Engine) Unpause(ctx context.Context, project string, o reconcile.ServiceOptions, s reconcile.Sink) error {
	return e.verb(ctx, "unpause", project, o, s)
}

func (e *Engine) Kill(ctx context.Context, project string, o reconcile.ServiceOptions, s reconcile.Sink) error {
	return e.verb(ctx, "kill", project, o, s)
}

func (e *Engine) Remove(ctx context.Context, project string, o reconcile.ServiceOptions, s reconcile.Sink) error {
	return e.verb(ctx, "remove", project, o, s)
}

func (e *Engine) Build(ctx context.Context, p *spec.Project, o reconcile.BuildOptions, s reconcile.Sink) error {
	if e.OnBuild == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnBuild(ctx, p, o, s)
}

func (e *Engine) Pull(ctx context.Context, p *spec.Project, services []string, policy string, s reconcile.Sink) error {
	if e.OnPull == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnPull(ctx, p, services, policy, s)
}

func (e *Engine) Plan(ctx context.Context, p *spec.Project, o reconcile.UpOptions) (*reconcile.Preview, error) {
	if e.OnPlan == nil {
		return nil, errdefs.ErrNotSupported
	}
	return e.OnPlan(ctx, p, o)
}

func (e *Engine) Drift(ctx context.Context, project string) (*reconcile.Preview, error) {
	if e.OnDrift == nil {
		return nil, errdefs.ErrNotSupported
	}
	return e.OnDrift(ctx, project)
}

func (e *Engine) PlanRestart(ctx context.Context, project string, o reconcile.ServiceOptions) (*reconcile.Preview, error) {
	if e.OnPlanRestart == nil {
		return nil, errdefs.ErrNotSupported
	}
	return e.OnPlanRestart(ctx, project, o)
}

func (e *Engine) Run(ctx context.Context, p *spec.Project, o reconcile.RunOptions, streams runtime.IO, s reconcile.Sink) (runtime.Exit, error) {
	if e.OnRun == nil {
		return runtime.Exit{}, errdefs.ErrNotSupported
	}
	return e.OnRun(ctx, p, o, streams, s)
}

func (e *Engine) Exec(ctx context.Context, project string, o reconcile.ExecOptions, streams runtime.IO) (runtime.Exit, error) {
	if e.OnExec == nil {
		return runtime.Exit{}, errdefs.ErrNotSupported
	}
	return e.OnExec(ctx, project, o, streams)
}

func (e *Engine) CopyIn(ctx context.Context, project string, o reconcile.CopyInOptions, r io.Reader, s reconcile.Sink) error {
	if e.OnCopyIn == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnCopyIn(ctx, project, o, r, s)
}

func (e *Engine) CopyOut(ctx context.Context, project string, o reconcile.CopyOutOptions, w io.Writer, s reconcile.Sink) error {
	if e.OnCopyOut == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnCopyOut(ctx, project, o, w, s)
}

func (e *Engine) CompareFiles(ctx context.Context, project string, o reconcile.FilesOptions) ([]reconcile.FileDifference, error) {
	return e.files(ctx, "compare", project, o)
}

func (e *Engine) RemoveFiles(ctx context.Context, project string, o reconcile.FilesOptions) ([]reconcile.FileDifference, error) {
	return e.files(ctx, "remove", project, o)
}

func (e *Engine) files(ctx context.Context, verb, project string, o reconcile.FilesOptions) ([]reconcile.FileDifference, error) {
	if e.OnFiles == nil {
		return nil, errdefs.ErrNotSupported
	}
	return e.OnFiles(ctx, verb, project, o)
}

func (e *Engine) Export(ctx context.Context, project string, o reconcile.ExportOptions, w io.Writer, s reconcile.Sink) error {
	if e.OnExport == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnExport(ctx, project, o, w, s)
}

func (e *Engine) Attach(ctx context.Context, project string, o reconcile.AttachOptions, streams runtime.IO) (runtime.Exit, error) {
	if e.OnAttach == nil {
		return runtime.Exit{}, errdefs.ErrNotSupported
	}
	return e.OnAttach(ctx, project, o, streams)
}

func (e *Engine) Containers(ctx context.Context, project string) ([]reconcile.Container, error) {
	if e.OnContainers == nil {
		return nil, nil
	}
	return e.OnContainers(ctx, project)
}

func (e *Engine) Stats(ctx context.Context, project string) ([]reconcile.ContainerStats, error) {
	if e.OnStats == nil {
		return nil, nil
	}
	return e.OnStats(ctx, project)
}

func (e *Engine) Top(ctx context.Context, project string) ([]reconcile.ContainerProcesses, error) {
	if e.OnTop == nil {
		return nil, nil
	}
	return e.OnTop(ctx, project)
}

func (e *Engine) Images(ctx context.Context, project string) ([]reconcile.ContainerImage, error) {
	if e.OnImages == nil {
		return nil, nil
	}
	return e.OnImages(ctx, project)
}

func (e *Engine) Volumes(ctx context.Context, project string) ([]reconcile.Volume, error) {
	if e.OnVolumes == nil {
		return nil, nil
	}
	return e.OnVolumes(ctx, project)
}

func (e *Engine) Projects(ctx context.Context) ([]reconcile.ProjectSummary, error) {
	if e.OnProjects == nil {
		return nil, nil
	}
	return e.OnProjects(ctx)
}

func (e *Engine) Logs(ctx context.Context, project string, o reconcile.LogOptions, each func(reconcile.LogEntry) error) error {
	if e.OnLogs == nil {
		return nil
	}
	return e.OnLogs(ctx, project, o, each)
}

func (e *Engine) Save(ctx context.Context, p *spec.Project, o reconcile.UpOptions) (*reconcile.Saved, error) {
	if e.OnSave == nil {
		return nil, errdefs.ErrNotSupported
	}
	return e.OnSave(ctx, p, o)
}

func (e *Engine) Apply(ctx context.Context, file []byte, o reconcile.ApplyOptions, s reconcile.Sink) error {
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

func (e *Engine) Revision(ctx context.Context, project string, back int) (*reconcile.Revision, error) {
	if e.OnRevision == nil {
		return nil, errdefs.ErrNotSupported
	}
	return e.OnRevision(ctx, project, back)
}

func (e *Engine) Why(ctx context.Context, project string, o reconcile.WhyOptions) (*reconcile.Why, error) {
	if e.OnWhy == nil {
		return nil, errdefs.ErrNotSupported
	}
	return e.OnWhy(ctx, project, o)
}

func (e *Engine) Dump(ctx context.Context, project string, p *spec.Project) (*reconcile.Dump, error) {
	if e.OnDump == nil {
		return nil, errdefs.ErrNotSupported
	}
	return e.OnDump(ctx, project, p)
}

func (e *Engine) GC(ctx context.Context, o reconcile.GCOptions) (*reconcile.Garbage, error) {
	if e.OnGC == nil {
		return nil, errdefs.ErrNotSupported
	}
	return e.OnGC(ctx, o)
}

func (e *Engine) Events(ctx context.Context, project string, o reconcile.EventOptions) <-chan reconcile.Event {
	if e.OnEvents == nil {
		ch := make(chan reconcile.Event)
		context.AfterFunc(ctx, func() { close(ch) })
		return ch
	}
	return e.OnEvents(ctx, project, o)
}

func (e *Engine) Push(ctx context.Context, p *spec.Project, o reconcile.PushOptions, s reconcile.Sink) error {
	if e.OnPush == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnPush(ctx, p, o, s)
}

func (e *Engine) Commit(ctx context.Context, project string, o reconcile.CommitOptions, s reconcile.Sink) (image.Info, error) {
	if e.OnCommit == nil {
		return image.Info{}, errdefs.ErrNotSupported
	}
	return e.OnCommit(ctx, project, o, s)
}

func (e *Engine) Load(ctx context.Context, r io.Reader, s reconcile.Sink) ([]image.Info, error) {
	if e.OnLoad == nil {
		return nil, errdefs.ErrNotSupported
	}
	return e.OnLoad(ctx, r, s)
}

func (e *Engine) Idle() bool { return e.OnIdle == nil || e.OnIdle() }

func (e *Engine) Close(context.Context) error { return nil }
