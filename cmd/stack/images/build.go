package images

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/selection"
	"github.com/stackrun/stack/cmd/stack/sources"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/spec"
)

// buildFlags are the flags of build as they stand on the command line.
type buildFlags struct {
	ask.BuildOptions
	args  []string
	ssh   []string
	quiet bool
	push  bool
}

// refusedOfBuild are docker compose's flags of build that would have no effect, with why.
var refusedOfBuild = []struct{ name, short, usage, why string }{
	{"print", "", "", "there is no file of docker buildx bake that would be run; `stack config` shows what is built"},
	{"check", "", "", "Dockerfiles are checked when they are built"},
	{"builder", "", "", "stack has one builder, its own"},
	{"memory", "m", "", "a build has no limit of its own"},
	{"sbom", "", "", "no attestations are made"},
	{"provenance", "", "", "no attestations are made"},
}

// oldOfBuild are flags that docker compose takes and does nothing about.
var oldOfBuild = []string{"parallel", "compress", "force-rm", "no-rm"}

// NewBuildCommand makes the command build.
func NewBuildCommand(run *cli.Run) *cobra.Command {
	var b buildFlags
	cmd := &cobra.Command{
		Use:   "build [OPTIONS] [SERVICE...]",
		Short: "Build the images of services that have a build",
		Long: `Builds the images of the named services, or of all, from their Dockerfiles, and those that they build on. A step whose instruction and whose files
are as they were is taken from the cache of this host, or from one that the file names (cache_from).

Containers stay as they are: the next 'stack up' makes those anew whose image is another one.`,
		RunE: func(cmd *cobra.Command, services []string) error {
			for _, f := range refusedOfBuild {
				if cmd.Flags().Changed(f.name) {
					return fmt.Errorf("--%s is not supported: %s", f.name, f.why)
				}
			}
			for _, name := range oldOfBuild {
				if cmd.Flags().Changed(name) {
					run.Warn("--%s has no effect", name)
				}
			}
			return buildImages(cmd.Context(), run, b, services)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&b.args, "build-arg", nil, "NAME=VALUE, or NAME for the value that it has here: set an ARG of the Dockerfiles")
	f.StringArrayVar(&b.ssh, "ssh", nil, "default, or ID=SOCKET: SSH agents for RUN --mount=type=ssh, in place of those of the file")
	f.BoolVar(&b.NoCache, "no-cache", false, "Run every step anew")
	f.BoolVar(&b.Pull, "pull", false, "Pull the images that the Dockerfiles start from, also when they are here")
	f.BoolVar(&b.push, "push", false, "Push the images that have a name, when all are built")
	f.BoolVarP(&b.quiet, "quiet", "q", false, "Do not show progress")
	f.BoolVar(&b.Deps, "with-dependencies", false, "Build what the named services depend on, too")
	for _, r := range refusedOfBuild {
		switch r.name {
		case "print", "check":
			f.Bool(r.name, false, "")
		default:
			f.StringP(r.name, r.short, "", "")
			f.Lookup(r.name).NoOptDefVal = ""
		}
		f.MarkHidden(r.name) //nolint:errcheck // it exists
	}
	for _, name := range oldOfBuild {
		f.Bool(name, false, "")
		f.MarkHidden(name) //nolint:errcheck // it exists
	}
	return cmd
}

func buildImages(ctx context.Context, run *cli.Run, b buildFlags, services []string) error {
	switch b.Offline = run.Offline(); {
	case b.Offline && b.Pull:
		return fmt.Errorf("--offline and --pull are incompatible")
	case b.Offline && b.push:
		return fmt.Errorf("--offline and --push are incompatible")
	}
	p, err := run.LoadFor(ctx, spec.ToBuild, services)
	if err != nil {
		return err
	}
	inheritPlatform(run, p)
	if b.Args, err = buildArgs(run, b.args); err != nil {
		return err
	}
	if err := useAgents(p, b.ssh); err != nil {
		return err
	}
	b.Services = services
	names := services
	if b.Deps {
		names = selection.WithDependencies(p, services)
	}
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(p.Services))
	}
	if p, err = sources.Fetch(ctx, run, p, names); err != nil {
		return err
	}
	daemon, show := run.Connect(), run.Quietly(b.quiet).Event
	if err := daemon.Build(ctx, p, b.BuildOptions, show); err != nil || !b.push {
		return err
	}
	return daemon.Push(ctx, p, ask.PushOptions{Services: names, Tags: true}, show)
}

// useAgents has all builds of p use the SSH agents of list, if there are any.
func useAgents(p *spec.Project, list []string) error {
	var keys []spec.SSHKey
	for _, text := range list {
		id, path, _ := strings.Cut(text, "=")
		if id == "" {
			return fmt.Errorf("invalid --ssh %q, expected default or ID=SOCKET", text)
		}
		if path != "" {
			var err error
			if path, err = filepath.Abs(path); err != nil {
				return err
			}
		}
		keys = append(keys, spec.SSHKey{ID: id, Path: path})
	}
	for _, s := range p.Services {
		if s.Build != nil && len(keys) > 0 {
			s.Build.SSH = keys
		}
	}
	return nil
}

// inheritPlatform gives services without a platform the one that DOCKER_DEFAULT_PLATFORM names, which up does when it loads the file.
func inheritPlatform(run *cli.Run, p *spec.Project) {
	for _, s := range p.Services {
		if s.Platform == "" {
			s.Platform = run.Variables()["DOCKER_DEFAULT_PLATFORM"]
		}
	}
}

// buildArgs reads NAME=VALUE, and NAME with the value of the project's variable; one that has none sets nothing.
func buildArgs(run *cli.Run, list []string) (map[string]string, error) {
	args := map[string]string{}
	for _, text := range list {
		name, value, given := strings.Cut(text, "=")
		if name == "" {
			return nil, fmt.Errorf("invalid --build-arg %q, expected NAME=VALUE", text)
		}
		if !given {
			if value, given = run.Variables()[name]; !given {
				continue
			}
		}
		args[name] = value
	}
	return args, nil
}
