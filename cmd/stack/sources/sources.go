// Package sources has on this host what builds need of the user's: git repositories, with the user's credentials, the SSH agent, and directories for
// their caches.
package sources

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/console"
	"github.com/stackrun/stack/cmd/stack/remote"
	"github.com/stackrun/stack/cmd/stack/selection"
	"github.com/stackrun/stack/internal/buildcache"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/spec/redact"
)

// FetchDue is p with the sources of what an up with o would build. Git repositories are the user's affair, with the user's credentials; they are asked
// only where the daemon says that there is something to build, so that an up of what is there needs no network.
func FetchDue(ctx context.Context, run *cli.Run, daemon *client.Client, p *spec.Project, o ask.UpOptions) (*spec.Project, error) {
	if o.NoBuild || !slices.ContainsFunc(slices.Sorted(maps.Keys(p.Services)), func(name string) bool {
		b := p.Services[name].Build
		return hasRemote(b) || wantsAgent(b) || len(newCaches(p, b)) > 0
	}) {
		return p, nil // the usual case
	}
	found, err := daemon.Plan(ctx, p, o)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		if slices.ContainsFunc(found.Changes, func(c plan.Change) bool {
			return c.Action == plan.Make && c.ID.Name == p.ImageOf(p.Services[name])
		}) {
			names = append(names, name)
		}
	}
	return Fetch(ctx, run, p, names)
}

// Fetch is p in which the builds of services, and what they build on, have their sources on this host, and know the SSH agent of the run. Directories that they put their cache into are made, and so are the user's; where
// that cannot be the daemon tries too, and says what is wrong.
func Fetch(ctx context.Context, run *cli.Run, p *spec.Project, services []string) (*spec.Project, error) {
	out := *p
	out.Services = maps.Clone(p.Services)
	var faults diag.List
	fetch := func(ref, at, above string) string {
		dir, err := run.Fetcher().Tree(ctx, ref)
		if err == nil {
			return dir
		}
		subject := p.Sources.At(spec.Path(at))
		if subject == nil {
			at, subject = above, p.Sources.At(spec.Path(above))
		}
		detail, hint := err.Error(), "name a directory, or a git repository: https://HOST/PATH.git#REF:DIRECTORY"
		if errors.Is(err, remote.ErrOffline) {
			detail, hint = redact.URLs(ref)+": "+detail, "build without --offline, or name a directory"
		}
		faults = append(faults, &diag.Diagnostic{
			Code: spec.CodeFetch, Summary: "cannot fetch the sources of a build", Detail: detail, Hint: hint, Address: at, Subject: subject,
		})
		return ref
	}
	for _, name := range builtOn(p, services) {
		s := p.Services[name]
		for _, dir := range newCaches(p, s.Build) {
			_ = os.MkdirAll(dir, 0o755) // see above
		}
		if !hasRemote(s.Build) && !wantsAgent(s.Build) {
			continue
		}
		at := "services." + name + ".build"
		with, b := *s, *s.Build
		if isRemote(b.Context) {
			b.Context = fetch(b.Context, at+".context", at)
		}
		b.SSH = slices.Clone(b.SSH)
		for i := range b.SSH {
			b.SSH[i].Path = cmp.Or(b.SSH[i].Path, run.Variables()["SSH_AUTH_SOCK"])
		}
		b.AdditionalContexts = maps.Clone(b.AdditionalContexts)
		for _, key := range slices.Sorted(maps.Keys(b.AdditionalContexts)) {
			if more := at + ".additional_contexts"; isRemote(b.AdditionalContexts[key]) {
				b.AdditionalContexts[key] = fetch(b.AdditionalContexts[key], more+"."+key, more)
			}
		}
		with.Build = &b
		out.Services[name] = &with
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("cannot fetch the sources of a build: %w", context.Cause(ctx))
	}
	if len(faults) > 0 {
		return nil, console.Faults(faults)
	}
	return &out, nil
}

// builtOn are services and those whose images theirs are built on.
func builtOn(p *spec.Project, services []string) []string {
	return selection.Closure(p, services, func(s *spec.Service) (next []string) {
		if s.Build == nil {
			return nil
		}
		for _, key := range slices.Sorted(maps.Keys(s.Build.AdditionalContexts)) {
			if on, ok := strings.CutPrefix(s.Build.AdditionalContexts[key], "service:"); ok {
				next = append(next, on)
			}
		}
		return next
	})
}

// wantsAgent says whether a build uses the SSH agent of the run's environment.
func wantsAgent(b *spec.Build) bool {
	return b != nil && slices.ContainsFunc(b.SSH, func(k spec.SSHKey) bool { return k.Path == "" })
}

// newCaches are the directories that b puts its cache into and that are not there.
func newCaches(p *spec.Project, b *spec.Build) (dirs []string) {
	if b == nil {
		return nil
	}
	for _, text := range b.CacheTo {
		at, _, err := buildcache.To(text)
		if err != nil || at.Type != buildcache.Local {
			continue
		}
		dir := at.Below(p.Dir).Dir
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// isRemote says whether the sources of a build are in a git repository.
func isRemote(context string) bool {
	return spec.IsRemote(context) && !strings.HasPrefix(context, "docker-image://")
}

// hasRemote says whether a build takes sources from a git repository.
func hasRemote(b *spec.Build) bool {
	if b == nil {
		return false
	}
	return isRemote(b.Context) || slices.ContainsFunc(slices.Sorted(maps.Keys(b.AdditionalContexts)), func(name string) bool { return isRemote(b.AdditionalContexts[name]) })
}
