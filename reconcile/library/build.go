package library

import (
	"context"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/build"
	"github.com/stackrun/stack/build/sources"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/network"
)

// Build is one build whose sources a client sends.
type Build struct {
	Context    io.Reader // a tar stream
	Dockerfile string    // in the context; "" = Dockerfile
	Tags       []string
	Args       map[string]string
	Labels     map[string]string
	Target     string
	Platform   v1.Platform // zero = this host's
	NoCache    bool
	Pull       bool
	Network    string // "" or default, none, host
	ShmSize    int64
	Ulimits    []specs.POSIXRlimit
	ExtraHosts []network.HostsEntry
	Auths      map[string]*image.Auth // by registry host
}

// BuildProgress is one thing that has happened in a build.
type BuildProgress = build.Progress

// The phases of a BuildProgress.
const (
	BuildStarted = build.Started
	BuildOutput  = build.Output
	BuildCached  = build.Cached
	BuildWarning = build.Warning
)

// BuildImage makes an image of what b says: the same build as that of a service. b.Context has been read when progress is first called.
func (l *Library) BuildImage(ctx context.Context, b Build, progress func(BuildProgress)) (image.Info, error) {
	leave, err := l.enter(ctx)
	if err != nil {
		return image.Info{}, err
	}
	defer leave()
	dir, err := l.drivers.Builder.ContextDir()
	if err != nil {
		return image.Info{}, err
	}
	defer os.RemoveAll(dir)
	if err := sources.Unpack(ctx, dir, b.Context, sources.Limits{}); err != nil {
		return image.Info{}, err
	}
	if b.Dockerfile == "" {
		b.Dockerfile = "Dockerfile"
	}
	file, err := sources.File(dir, b.Dockerfile)
	if err != nil {
		return image.Info{}, err
	}
	for _, name := range []string{".dockerignore", file + ".dockerignore"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			continue
		}
		if _, err := sources.File(dir, name); err != nil {
			return image.Info{}, err
		}
	}
	info, err := l.drivers.Builder.Build(ctx, build.Request{
		Context: dir, Dockerfile: filepath.Join(dir, file), Tags: b.Tags, Args: b.Args, Labels: b.Labels, Target: b.Target, Platform: b.Platform, NoCache: b.NoCache, Pull: b.Pull,
		Network: b.Network, ShmSize: b.ShmSize, Ulimits: b.Ulimits, ExtraHosts: b.ExtraHosts, Auths: b.Auths,
	}, progress)
	if err != nil {
		return info, err
	}
	l.done(append(b.Tags, info.ID.String())[0], info.ID.String(), "Built")
	return info, nil
}

// PruneBuilds forgets what builds have done, and lets go of the layers that no image has. It returns how many bytes of layers that were.
func (l *Library) PruneBuilds(ctx context.Context) (int64, error) {
	leave, err := l.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	return l.drivers.Builder.Clear(ctx)
}
