// Package crash wraps drivers so that a test can kill the process before and after every call that changes the host
// (see internal/failpoint). Reads go through untouched. Only a binary that is built with the tag "failpoint" uses it.
package crash

import (
	"context"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/build"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/volume"
)

// Wrap puts two failpoints around every call of s that changes the host: driver.<room>.<method>.before and .after.
func Wrap(s driver.Set) driver.Set {
	return driver.Set{
		Images: images{s.Images}, Networks: networks{s.Networks}, Volumes: volumes{s.Volumes}, Containers: containers{s.Containers}, Builder: builder{s.Builder},
		Library: s.Library,
	}
}

func around[T any](name string, call func() (T, error)) (T, error) {
	failpoint.Hit("driver." + name + ".before")
	v, err := call()
	failpoint.Hit("driver." + name + ".after")
	return v, err
}

func aroundErr(name string, call func() error) error {
	_, err := around(name, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

type images struct{ driver.Images }

func (d images) Pull(ctx context.Context, ref string, p v1.Platform, progress func(image.Progress)) (image.Info, error) {
	return around("images.pull", func() (image.Info, error) { return d.Images.Pull(ctx, ref, p, progress) })
}

func (d images) Prepare(ctx context.Context, key string, id v1.Hash) ([]mount.Mount, error) {
	return around("images.prepare", func() ([]mount.Mount, error) { return d.Images.Prepare(ctx, key, id) })
}

func (d images) View(ctx context.Context, key string, id v1.Hash) (mount.Mount, error) {
	return around("images.view", func() (mount.Mount, error) { return d.Images.View(ctx, key, id) })
}

func (d images) Remove(ctx context.Context, key string) error {
	return aroundErr("images.remove", func() error { return d.Images.Remove(ctx, key) })
}

func (d images) Load(ctx context.Context, r io.Reader, progress func(image.Progress)) ([]image.Info, error) {
	return around("images.load", func() ([]image.Info, error) { return d.Images.Load(ctx, r, progress) })
}

func (d images) Delete(ctx context.Context, ref string) error {
	return aroundErr("images.delete", func() error { return d.Images.Delete(ctx, ref) })
}

func (d images) CommitSnapshot(ctx context.Context, key string, change func(*v1.Config) error, author image.Author, refs ...string) (image.Info, error) {
	return around("images.commit", func() (image.Info, error) { return d.Images.CommitSnapshot(ctx, key, change, author, refs...) })
}

type builder struct{ driver.Builder }

func (d builder) Build(ctx context.Context, r build.Request, progress func(build.Progress)) (image.Info, error) {
	return around("builder.build", func() (image.Info, error) { return d.Builder.Build(ctx, r, progress) })
}

type networks struct{ driver.Networks }

func (d networks) Create(ctx context.Context, c network.Config) (network.State, error) {
	return around("networks.create", func() (network.State, error) { return d.Networks.Create(ctx, c) })
}

func (d networks) Delete(ctx context.Context, id string) error {
	return aroundErr("networks.delete", func() error { return d.Networks.Delete(ctx, id) })
}

func (d networks) Setup(ctx context.Context, c network.SandboxConfig) (network.Sandbox, error) {
	return around("networks.setup", func() (network.Sandbox, error) { return d.Networks.Setup(ctx, c) })
}

func (d networks) Teardown(ctx context.Context, containerID string) error {
	return aroundErr("networks.teardown", func() error { return d.Networks.Teardown(ctx, containerID) })
}

func (d networks) Mend(ctx context.Context, c network.SandboxConfig, nsPath string) (network.Sandbox, error) {
	return around("networks.mend", func() (network.Sandbox, error) { return d.Networks.Mend(ctx, c, nsPath) })
}

func (d networks) Rewire(ctx context.Context, c network.SandboxConfig) (network.Sandbox, error) {
	return around("networks.rewire", func() (network.Sandbox, error) { return d.Networks.Rewire(ctx, c) })
}

func (d networks) Handover(ctx context.Context, from, to string) error {
	return aroundErr("networks.handover", func() error { return d.Networks.Handover(ctx, from, to) })
}

type volumes struct{ driver.Volumes }

func (d volumes) Create(ctx context.Context, c volume.Config) (volume.State, error) {
	return around("volumes.create", func() (volume.State, error) { return d.Volumes.Create(ctx, c) })
}

func (d volumes) Delete(ctx context.Context, id string) error {
	return aroundErr("volumes.delete", func() error { return d.Volumes.Delete(ctx, id) })
}

func (d volumes) Prepare(ctx context.Context, mounts []mount.Mount) ([]mount.Mount, error) {
	return around("volumes.prepare", func() ([]mount.Mount, error) { return d.Volumes.Prepare(ctx, mounts) })
}

func (d volumes) Mounts(ctx context.Context, uses []volume.Use) ([]mount.Mount, error) {
	return around("volumes.mounts", func() ([]mount.Mount, error) { return d.Volumes.Mounts(ctx, uses) })
}

func (d volumes) Snapshot(ctx context.Context, project, name string, ids []string) (volume.Snapshot, error) {
	return around("volumes.snapshot", func() (volume.Snapshot, error) { return d.Volumes.Snapshot(ctx, project, name, ids) })
}

func (d volumes) DeleteSnapshot(ctx context.Context, project, name string) error {
	return aroundErr("volumes.deletesnapshot", func() error { return d.Volumes.DeleteSnapshot(ctx, project, name) })
}

func (d volumes) Restore(ctx context.Context, project, name string, ids []string) error {
	return aroundErr("volumes.restore", func() error { return d.Volumes.Restore(ctx, project, name, ids) })
}

func (d volumes) Undelete(ctx context.Context, id string) error {
	return aroundErr("volumes.undelete", func() error { return d.Volumes.Undelete(ctx, id) })
}

func (d volumes) Clone(ctx context.Context, from string, to volume.Config) error {
	return aroundErr("volumes.clone", func() error { return d.Volumes.Clone(ctx, from, to) })
}

type containers struct{ driver.Containers }

func (d containers) Create(ctx context.Context, c runtime.Config) (runtime.State, error) {
	return around("containers.create", func() (runtime.State, error) { return d.Containers.Create(ctx, c) })
}

func (d containers) Replace(ctx context.Context, c runtime.Config) error {
	return aroundErr("containers.replace", func() error { return d.Containers.Replace(ctx, c) })
}

func (d containers) Reserve(ctx context.Context, id string) error {
	return aroundErr("containers.reserve", func() error { return d.Containers.Reserve(ctx, id) })
}

func (d containers) Revise(ctx context.Context, c runtime.Config) (runtime.State, error) {
	return around("containers.revise", func() (runtime.State, error) { return d.Containers.Revise(ctx, c) })
}

func (d containers) Start(ctx context.Context, id string) (runtime.State, error) {
	return around("containers.start", func() (runtime.State, error) { return d.Containers.Start(ctx, id) })
}

func (d containers) Kill(ctx context.Context, id string, sig unix.Signal) error {
	return aroundErr("containers.kill", func() error { return d.Containers.Kill(ctx, id, sig) })
}

func (d containers) Pause(ctx context.Context, id string) error {
	return aroundErr("containers.pause", func() error { return d.Containers.Pause(ctx, id) })
}

func (d containers) Resume(ctx context.Context, id string) error {
	return aroundErr("containers.resume", func() error { return d.Containers.Resume(ctx, id) })
}

func (d containers) Stop(ctx context.Context, id string, grace time.Duration) (process.Exit, error) {
	return around("containers.stop", func() (process.Exit, error) { return d.Containers.Stop(ctx, id, grace) })
}

func (d containers) StopBy(ctx context.Context, id string, sig unix.Signal, grace time.Duration) (process.Exit, error) {
	return around("containers.stop", func() (process.Exit, error) { return d.Containers.StopBy(ctx, id, sig, grace) })
}

func (d containers) Delete(ctx context.Context, id string) error {
	return aroundErr("containers.delete", func() error { return d.Containers.Delete(ctx, id) })
}

func (d containers) Run(ctx context.Context, id string, io process.IO, started func(runtime.State)) (process.Exit, error) {
	return around("containers.run", func() (process.Exit, error) { return d.Containers.Run(ctx, id, io, started) })
}

func (d containers) Mend(ctx context.Context, id string) (runtime.State, error) {
	return around("containers.mend", func() (runtime.State, error) { return d.Containers.Mend(ctx, id) })
}
