package build

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/mount"
)

// Images is implemented by *image.Store.
type Images interface {
	Resolve(ctx context.Context, ref string, p v1.Platform) (image.Info, error)
	Pull(ctx context.Context, ref string, p v1.Platform, progress func(image.Progress)) (image.Info, error)
	Prepare(ctx context.Context, key string, id v1.Hash) ([]mount.Mount, error)
	Remove(ctx context.Context, key string) error
}

// Containers is implemented by *runtime.Driver.
type Containers interface {
	Create(ctx context.Context, c runtime.Config) (runtime.State, error)
	Run(ctx context.Context, id string, io runtime.IO, started func(runtime.State)) (runtime.Exit, error)
	Delete(ctx context.Context, id string) error
	List(ctx context.Context) ([]runtime.State, error)
}

// Networks is implemented by *network.Driver.
type Networks interface {
	Create(ctx context.Context, c network.Config) (network.State, error)
	Delete(ctx context.Context, id string) error
	Setup(ctx context.Context, c network.SandboxConfig) (network.Sandbox, error)
	Teardown(ctx context.Context, containerID string) error
}
