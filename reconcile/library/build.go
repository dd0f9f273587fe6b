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
	"github.com/stackrun/stack/internal/buildcache"
	"github.com/stackrun/stack/network"
)

// Build is one build whose sources a client sends.
type Build struct {
	Context    io.Reader // a tar stream
	Dockerfile string    // in the context; "" = Dockerfile

	// Fetch, in place of Context and Dockerfile, puts the sources below dir, which is empty and is removed when the build has ended, and says where they are.
	Fetch func(ctx context.Context, dir string) (BuildSources, error)
	// FindSecret is asked for what RUN --mount=type=secret names. nil, also what it returns, is one that was not given.
	FindSecret func(id string) (*BuildSecret, error)
	// FindAgent is asked for what RUN --mount=type=ssh names. nil, also what it returns, is one that was not given.
	FindAgent func(id string) (*BuildAgent, error)
	// FindAuth is asked for the hosts that are not among Auths. nil, also what it returns, is what this host has stored.
	FindAuth func(host string) (*image.Auth, error)

	Tags     []string
	Args     map[string]string
	Labels   map[string]string
	Target   string
	Platform v1.Platform // zero = this host's
	NoCache  bool
	// NoCacheFilter are the stages whose steps are done anew.
	NoCacheFilter      []string
	Pull               bool
	CacheFrom, CacheTo []buildcache.Place // as of a service's build
	StepsOnly          bool               // no image is made, the steps are done for builds to come
	Network            string             // "" or default, none, host
	ShmSize            int64
	Ulimits            []specs.POSIXRlimit
	ExtraHosts         []network.HostsEntry
	Auths              map[string]*image.Auth // by registry host

	// TakePlace is called when the sources are there, and waits until the build may begin; leave is its end. nil = it may at once.
	TakePlace func(ctx context.Context) (leave func(), err error)
}

// BuildSources are where the sources of a build are.
type BuildSources struct {
	Context    string            // directory; "" = there are none but the Dockerfile
	Dockerfile string            // path
	Contexts   map[string]string // further ones, by name: a directory, or docker-image://REF
}

// BuildSecret is what a RUN --mount=type=secret gives to its command.
type BuildSecret = build.Secret

// BuildAgent is an SSH agent that a RUN --mount=type=ssh lets its command ask.
type BuildAgent = build.Agent

// BuildProgress is one thing that has happened in a build.
type BuildProgress = build.Progress

// The phases of a BuildProgress.
const (
	BuildStarted = build.Started
	BuildOutput  = build.Output
	BuildCached  = build.Cached
	BuildDone    = build.Done
	BuildFailed  = build.Failed
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
	from, err := b.sources(ctx, dir)
	if err != nil {
		return image.Info{}, err
	}
	if b.TakePlace != nil {
		leave, err := b.TakePlace(ctx)
		if err != nil {
			return image.Info{}, err
		}
		defer leave()
	}
	info, err := l.drivers.Builder.Build(ctx, build.Request{
		Context: from.Context, Dockerfile: from.Dockerfile, Contexts: from.Contexts, Tags: b.Tags, Args: b.Args, Labels: b.Labels, Target: b.Target, Platform: b.Platform,
		NoCache: b.NoCache, NoCacheFilter: b.NoCacheFilter, Pull: b.Pull, CacheFrom: b.CacheFrom, CacheTo: b.CacheTo, StepsOnly: b.StepsOnly, Network: b.Network, ShmSize: b.ShmSize, Ulimits: b.Ulimits, ExtraHosts: b.ExtraHosts,
		Auths: b.Auths, FindAuth: b.FindAuth, FindSecret: b.FindSecret, FindAgent: b.FindAgent,
	}, progress)
	if err != nil || b.StepsOnly {
		return info, err
	}
	l.done(append(b.Tags, info.ID.String())[0], info.ID.String(), "Built")
	return info, nil
}

// sources puts them below dir.
func (b *Build) sources(ctx context.Context, dir string) (BuildSources, error) {
	if b.Fetch != nil {
		return b.Fetch(ctx, dir)
	}
	return ReceiveSources(ctx, dir, b.Context, b.Dockerfile)
}

// ReceiveSources puts into dir, which is empty, what r has, a tar stream, and finds the Dockerfile of that name in it, "" = Dockerfile.
func ReceiveSources(ctx context.Context, dir string, r io.Reader, dockerfile string) (BuildSources, error) {
	if err := sources.Unpack(ctx, dir, r, sources.Limits{}); err != nil {
		return BuildSources{}, err
	}
	return SourcesIn(dir, dockerfile)
}

// SourcesIn are those of a context in dir that was sent, with the Dockerfile of that name, "" = Dockerfile. What is read by its name must not lead out.
func SourcesIn(dir, dockerfile string) (BuildSources, error) {
	if dockerfile == "" {
		dockerfile = "Dockerfile"
	}
	file, err := sources.File(dir, dockerfile)
	if err != nil {
		return BuildSources{}, err
	}
	for _, name := range []string{".dockerignore", file + ".dockerignore"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			continue
		}
		if _, err := sources.File(dir, name); err != nil {
			return BuildSources{}, err
		}
	}
	return BuildSources{Context: dir, Dockerfile: filepath.Join(dir, file)}, nil
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
