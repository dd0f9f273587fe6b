package build

import (
	"context"
	"encoding/json"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/buildcache"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/runtime/process"
)

// Images is implemented by *image.Store.
type Images interface {
	Resolve(ctx context.Context, ref string, p v1.Platform) (image.Info, error)
	PullAs(ctx context.Context, ref string, p v1.Platform, auth *image.Auth, progress func(image.Progress)) (image.Info, error)
	// ConfigFile is the whole configuration of image id.
	ConfigFile(ctx context.Context, id v1.Hash) (*v1.ConfigFile, error)

	// PrepareLayers makes the snapshot key on layers and gives its root, and after that a read-only mount for each of beside.
	PrepareLayers(ctx context.Context, key string, layers []v1.Hash, beside ...[]v1.Hash) ([]mount.Mount, error)
	// Commit makes the snapshot a layer, which is held until Release, and removes the snapshot.
	Commit(ctx context.Context, key string, latest time.Time) (image.Layer, error)
	Remove(ctx context.Context, key string) error
	Snapshots(ctx context.Context) ([]string, error)
	HasLayers(ctx context.Context, layers []v1.Hash) bool
	Held(ctx context.Context) ([]v1.Hash, error)
	Release(ctx context.Context, layers ...v1.Hash) error
	// Sync brings the layers to the disk, behind the caller.
	Sync()

	// ReadCache reads what a place has of what WriteCache has put there; no layer is fetched.
	ReadCache(ctx context.Context, at buildcache.Place, auth *image.Auth, note func(string)) (*image.Cache, error)
	// FetchLayer has the layer here, and holds it until Release.
	FetchLayer(ctx context.Context, c *image.Cache, layer v1.Hash) error
	// WriteCache puts document and layers there. bring is asked for a layer that is neither here nor there.
	WriteCache(ctx context.Context, at buildcache.Place, auth *image.Auth, document json.RawMessage, layers []v1.Hash, bring func(context.Context, v1.Hash) error, note func(string)) error

	// RecordRaw makes the image that the configuration raw describes and gives it names.
	RecordRaw(ctx context.Context, raw []byte, refs ...string) (image.Info, error)
	// Tag gives an image that is here names. errdefs.ErrNotFound when it is not.
	Tag(ctx context.Context, id v1.Hash, refs ...string) (image.Info, error)
}

// Containers is implemented by *runtime.Driver.
type Containers interface {
	Create(ctx context.Context, c runtime.Config) (runtime.State, error)
	Run(ctx context.Context, id string, io process.IO, started func(runtime.State)) (process.Exit, error)
	Stop(ctx context.Context, id string, grace time.Duration) (process.Exit, error)
	Delete(ctx context.Context, id string) error
	List(ctx context.Context) ([]runtime.State, error)
}

// Networks is implemented by *network.Driver.
type Networks interface {
	Create(ctx context.Context, c network.Config) (network.State, error)
	Delete(ctx context.Context, id string) error
	List(ctx context.Context) ([]network.State, error)
	Setup(ctx context.Context, c network.SandboxConfig) (network.Sandbox, error)
	Teardown(ctx context.Context, containerID string) error
	Sandboxes(ctx context.Context) ([]network.Sandbox, error)
}
