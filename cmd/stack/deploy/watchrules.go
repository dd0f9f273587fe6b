package deploy

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/console"
	"github.com/stackrun/stack/cmd/stack/selection"
	"github.com/stackrun/stack/cmd/stack/watch/rule"
	"github.com/stackrun/stack/internal/dockerignore"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// watchRules are the rules of develop.watch of services and what they depend on (none = of all), sorted by service. What cannot be watched is told at
// the line where it is written.
func watchRules(run *cli.Run, p *spec.Project, services []string) (rule.Rules, error) {
	names := selection.WithDependencies(p, services)
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(p.Services))
	}
	var rules rule.Rules
	var faults diag.List
	for _, name := range names {
		s := p.Services[name]
		if s == nil || len(s.Develop) == 0 {
			continue
		}
		var ignored []string
		context := localContext(s.Build)
		if context != "" {
			dockerfile := ""
			if s.Build.DockerfileInline == "" {
				dockerfile = filepath.Join(context, s.Build.Dockerfile)
				if s.Build.Dockerfile == "" {
					dockerfile = filepath.Join(context, "Dockerfile")
				}
			}
			var err error
			if ignored, _, err = dockerignore.Read(context, dockerfile); err != nil {
				return nil, err
			}
		}
		var bound []string
		for _, m := range s.Mounts {
			if m.Type == "bind" {
				bound = append(bound, withoutLinks(m.Source))
			}
		}
		for i, w := range s.Develop {
			at := fmt.Sprintf("services.%s.develop.watch[%d]", name, i)
			fault := func(key, detail, hint string) {
				if key != "" {
					key = "." + key
				}
				path := spec.Path(at + key)
				faults = append(faults, &diag.Diagnostic{Code: "watch", Summary: "cannot watch service " + name, Detail: detail, Hint: hint, Address: string(path), Subject: p.Sources.At(path)})
			}
			switch {
			case w.Action == rule.Rebuild && s.Build == nil:
				fault("action", "the action rebuild needs a build", "write services."+name+".build, or another action")
				continue
			case w.Action == rule.SyncExec && (w.Exec == nil || len(w.Exec.Command) == 0):
				fault("", "the action sync+exec needs a command", "write exec: {command: …}")
				continue
			}
			r, err := rule.New(w, rule.Source{Service: name, Index: i, Path: withoutLinks(w.Path), Context: withoutLinks(context), Ignored: ignored, Bound: bound})
			if err != nil {
				fault("", err.Error(), "see https://docs.docker.com/build/concepts/context/#syntax for how patterns are written")
				continue
			}
			if r.Copies() && r.Bound() {
				run.Warn("%s: %s is a bind mount of service %s already: the rule is left out", at, w.Path, name)
				continue
			}
			rules = append(rules, r)
		}
	}
	if len(faults) > 0 {
		return nil, console.Faults(faults)
	}
	if len(rules) == 0 {
		return nil, errors.New("cannot watch: no service that is asked for says what is to be watched; write services.NAME.develop.watch")
	}
	return rules, nil
}

// localContext is the directory of a build's sources on this host, or "".
func localContext(b *spec.Build) string {
	if b == nil || !filepath.IsAbs(b.Context) {
		return ""
	}
	return b.Context
}

// withoutLinks is path as the kernel knows it, also of what is not there yet.
func withoutLinks(path string) string {
	if path == "" {
		return ""
	}
	rest := ""
	for at := filepath.Clean(path); ; at = filepath.Dir(at) {
		real, err := filepath.EvalSymlinks(at)
		if err == nil {
			return filepath.Join(real, rest)
		}
		if !errors.Is(err, os.ErrNotExist) || at == "/" {
			return path
		}
		rest = filepath.Join(filepath.Base(at), rest)
	}
}
