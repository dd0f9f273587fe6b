// Package images answers the operations of the Docker Engine API on images, on builds and on registries.
//
// Called by api/docker. May touch: nothing; what it does it asks of its Engine.
package images

import (
	"context"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/reconcile"
	"github.com/stackrun/stack/reconcile/ask"
)

// Engine is what is needed of the engine: reconcile.AllImages. Its errors are of errdefs' kinds, and image.ErrDenied.
type Engine interface {
	ListImages(ctx context.Context) ([]image.Info, error)
	InspectImage(ctx context.Context, ref string, p v1.Platform) (reconcile.InspectedImage, error)
	// PullImage says whether another image has the name than before. nil auth is what this host has stored.
	PullImage(ctx context.Context, ref string, p v1.Platform, auth *image.Auth, progress func(image.Progress)) (info image.Info, changed bool, err error)
	PushImage(ctx context.Context, ref string, o image.PushOptions, progress func(image.Progress)) (image.Pushed, error)
	TagImage(ctx context.Context, ref, name string) error
	RemoveImage(ctx context.Context, ref string, force bool) (image.Removal, error)
	// PruneImages removes those that fits takes, that nobody uses and, unless all, that have no name.
	PruneImages(ctx context.Context, all bool, fits func(image.Info) bool) (image.Removal, error)
	// SaveImages writes nothing when it fails for what it was asked for.
	SaveImages(ctx context.Context, w io.Writer, p v1.Platform, refs ...string) error
	LoadImages(ctx context.Context, r io.Reader, progress func(image.Progress)) ([]image.Info, error)
	// ImportImage makes an image out of a tar stream of a root file system; ref "" = without a name.
	ImportImage(ctx context.Context, r io.Reader, p v1.Platform, ref, comment string, changes []string) (image.Info, error)
	RemoteImage(ctx context.Context, ref string, auth *image.Auth) (image.RemoteManifest, error)
	CheckAuth(ctx context.Context, host string, auth image.Auth) error
	// BuildImage has read all of b.Context when progress is first called.
	BuildImage(ctx context.Context, b reconcile.ImageBuild, progress func(reconcile.BuildProgress)) (image.Info, error)
	PruneBuilds(ctx context.Context) (bytes int64, err error)
	// CommitContainer makes an image of what the container that ref means has written.
	CommitContainer(ctx context.Context, ref string, o ask.CommitOptions) (image.Info, error)
}

type handlers struct{ engine Engine }

// Routes are the operations of this package.
func Routes(e Engine) []wire.Route {
	h := &handlers{e}
	return []wire.Route{
		{Method: "GET", Path: "/images/json", Handle: h.list},
		{Method: "GET", Path: "/images/{name...}/json", Handle: h.inspect},
		{Method: "GET", Path: "/images/{name...}/history", Handle: h.history},
		{Method: "POST", Path: "/images/create", Handle: h.create},
		{Method: "POST", Path: "/images/{name...}/push", Handle: h.push},
		{Method: "POST", Path: "/images/{name...}/tag", Handle: h.tag},
		{Method: "DELETE", Path: "/images/{name...}", Handle: h.remove},
		{Method: "POST", Path: "/images/prune", Handle: h.prune},
		{Method: "GET", Path: "/images/get", Handle: h.saveSome},
		{Method: "GET", Path: "/images/{name...}/get", Handle: h.saveOne},
		{Method: "POST", Path: "/images/load", Handle: h.load},
		{Method: "GET", Path: "/distribution/{name...}/json", Handle: h.distribution},
		{Method: "POST", Path: "/auth", Handle: h.auth},
		{Method: "POST", Path: "/build", Handle: h.build},
		{Method: "POST", Path: "/build/prune", Handle: h.pruneBuilds},
		{Method: "POST", Path: "/commit", Handle: h.commit},
	}
}
