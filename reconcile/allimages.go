package reconcile

import (
	"context"
	"io"

	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/library"
)

// AllImages are the images of this host, for whoever asks by name and id and not by project: the Docker Engine API.
type AllImages struct {
	*library.Library
	e *Engine
}

func (e *Engine) AllImages() AllImages {
	return AllImages{library.New(e.drivers, e.loop.Working, func(ev event.Event) { e.hub.Say(nil, ev) }), e}
}

// BuildImage is the library's, in one of the places that builds of projects have too. A client that sends its sources slowly, or has been stopped, takes none.
func (a AllImages) BuildImage(ctx context.Context, b ImageBuild, progress func(BuildProgress)) (image.Info, error) {
	b.TakePlace = a.e.images.TakePlace
	return a.Library.BuildImage(ctx, b, progress)
}

// CommitContainer is Engine.Commit of the container that ref means, by name, id or a prefix of an id.
func (a AllImages) CommitContainer(ctx context.Context, ref string, o ask.CommitOptions) (image.Info, error) {
	defer a.e.loop.Enter()()
	c, err := inventory.ByRef(ctx, a.e.drivers, ref)
	if err != nil {
		return image.Info{}, err
	}
	return a.e.keep.CommitOne(ctx, c, o, nil)
}

// ReceiveSources puts what a client sends, a tar stream, into dir, which is empty, and finds the Dockerfile of that name in it, "" = Dockerfile.
func ReceiveSources(ctx context.Context, dir string, r io.Reader, dockerfile string) (BuildSources, error) {
	return library.ReceiveSources(ctx, dir, r, dockerfile)
}

// SourcesIn are those of a context in dir that was sent.
func SourcesIn(dir, dockerfile string) (BuildSources, error) {
	return library.SourcesIn(dir, dockerfile)
}

// What AllImages takes and gives.
type (
	InspectedImage = library.Inspected
	ImageBuild     = library.Build
	BuildSources   = library.BuildSources
	BuildSecret    = library.BuildSecret
	BuildAgent     = library.BuildAgent
	BuildProgress  = library.BuildProgress
)

// The phases of a BuildProgress that say more than that the build goes on.
const (
	BuildStarted = library.BuildStarted
	BuildOutput  = library.BuildOutput
	BuildCached  = library.BuildCached
	BuildDone    = library.BuildDone
	BuildFailed  = library.BuildFailed
	BuildWarning = library.BuildWarning
)
