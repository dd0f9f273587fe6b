package build

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

// origin is what a FROM or a --from means: exactly one of its fields, or none for scratch.
type origin struct {
	stage *stage
	dir   string // a context
	image string
}

// stage is a stage of the Dockerfile that the target needs.
type stage struct {
	index    int
	name     string // its name, or its number
	inst     *instructions.Stage
	base     origin
	noCache  bool
	baseText string // what FROM names, expanded
	shown    string // what progress calls it, Progress.Stage
	before   int    // how many steps the stages before it have that are built; -1 = it is built because an ONBUILD asks for it

	done    chan struct{} // closed when result or err is there
	started bool
	result  *state
	err     error
}

// layout is a Dockerfile with everything known of it that can be before anything runs.
type layout struct {
	file    *dockerfile
	global  variables // ARGs before the first FROM, and the automatic ones
	all     []*stage  // in the order of the file; those that are not needed have no done
	target  *stage
	remotes []remote // of the stages that are needed, in the order in which they were found
	steps   int      // of all stages that are built, but for what an ONBUILD asks for
	notes   []string // what the user should know
}

// lay reads what r asks for and refuses what cannot be done. Nothing has run and nothing is asked of anybody when it returns.
func lay(r *Request, file *dockerfile) (*layout, error) {
	l := &layout{file: file, notes: file.warnings}
	host := platform.Host()
	if err := checkPlatform(r.Platform, host); err != nil {
		return nil, &Error{File: file.name, Err: err}
	}
	if err := l.globals(r, host); err != nil {
		return nil, err
	}
	var err error
	if l.all, err = l.stages(r, host); err != nil {
		return nil, err
	}
	if l.target, err = pick(file, l.all, r.Target); err != nil {
		return nil, err
	}
	if err := l.need(r, l.target); err != nil {
		return nil, err
	}
	l.unused(r)
	l.count()
	return l, nil
}

// count numbers the steps of what is built.
func (l *layout) count() {
	for _, s := range l.all {
		if s.before = -1; s.done != nil {
			s.before = l.steps
			l.steps += 1 + len(s.inst.Commands)
		}
		switch {
		case len(l.all) == 1:
		case s.inst.Name == "":
			s.shown = "stage-" + strconv.Itoa(s.index)
		default:
			s.shown = s.inst.Name
		}
	}
}

func checkPlatform(p, host v1.Platform) error {
	if p.Architecture == "" || p.OS == host.OS && p.Architecture == host.Architecture && (p.Variant == "" || p.Variant == host.Variant) {
		return nil
	}
	return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("cannot build for %s on this host: it is %s/%s, and what a RUN runs must run here; leave the platform out", p, host.OS, host.Architecture))
}

// globals evaluates the ARGs before the first FROM.
func (l *layout) globals(r *Request, host v1.Platform) error {
	auto := platformArgs(host, r.Target)
	for _, name := range slices.Sorted(maps.Keys(auto)) {
		l.global.set(name, auto[name])
	}
	words := newExpander(l.file.escape)
	for i := range l.file.meta {
		c := &l.file.meta[i]
		for _, a := range c.Args {
			value := a.Value
			if given, ok := r.Args[a.Key]; ok {
				value = &given
			} else if value != nil {
				v, err := words.word(*value, &l.global)
				if err != nil {
					return l.file.refuse(lineOf(c.Location()), source(c), "%v", err)
				}
				value = &v
			}
			if value != nil {
				l.global.set(a.Key, *value)
			}
		}
	}
	return nil
}

// stages reads every FROM.
func (l *layout) stages(r *Request, host v1.Platform) ([]*stage, error) {
	var list []*stage
	words := newExpander(l.file.escape)
	for i := range l.file.stages {
		in := &l.file.stages[i]
		s := &stage{index: i, name: in.Name, inst: in}
		if s.name == "" {
			s.name = strconv.Itoa(i)
		}
		line := lineOf(in.Location)
		expand := func(word string) (string, error) {
			out, err := words.word(word, &l.global)
			if err != nil {
				return "", l.file.refuse(line, oneLine(in.SourceCode), "%v", err)
			}
			return out, nil
		}
		name, err := expand(in.BaseName)
		if err != nil {
			return nil, err
		}
		if name == "" {
			return nil, l.file.refuse(line, oneLine(in.SourceCode), "the name of the base is empty: an ARG before the first FROM has no value; give it one, or a default")
		}
		platform, err := expand(in.Platform)
		if err != nil {
			return nil, err
		}
		if err := l.platform(platform, host); err != nil {
			return nil, &Error{File: l.file.name, Line: line, Instruction: oneLine(in.SourceCode), Err: err}
		}
		s.baseText = name
		s.base = l.origin(r, list, name, false)
		s.noCache = r.NoCache || slices.ContainsFunc(r.NoCacheFilter, func(n string) bool { return strings.EqualFold(n, s.name) })
		list = append(list, s)
	}
	return list, nil
}

func (l *layout) platform(text string, host v1.Platform) error {
	if text == "" {
		return nil
	}
	p, err := v1.ParsePlatform(text)
	if err != nil {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("--platform=%s: %w", text, err))
	}
	return checkPlatform(*p, host)
}

// origin says what name means after the stages before it. By number only a --from names one.
func (l *layout) origin(r *Request, before []*stage, name string, numbers bool) origin {
	for given, what := range r.Contexts {
		if !strings.EqualFold(given, name) {
			continue
		}
		if ref, ok := strings.CutPrefix(what, "docker-image://"); ok {
			return origin{image: ref}
		}
		return origin{dir: what}
	}
	for _, s := range slices.Backward(before) {
		if s.inst.Name != "" && strings.EqualFold(s.inst.Name, name) {
			return origin{stage: s}
		}
	}
	if n, err := strconv.Atoi(name); numbers && err == nil && n >= 0 && n < len(before) {
		return origin{stage: before[n]}
	}
	if name == "scratch" {
		return origin{}
	}
	return origin{image: name}
}

// pick finds the stage that is to be built.
func pick(file *dockerfile, stages []*stage, target string) (*stage, error) {
	if target == "" {
		return stages[len(stages)-1], nil
	}
	for _, s := range stages {
		if strings.EqualFold(s.inst.Name, target) {
			return s, nil
		}
	}
	if n, err := strconv.Atoi(target); err == nil && n >= 0 && n < len(stages) {
		return stages[n], nil
	}
	var names []string
	for _, s := range stages {
		if s.inst.Name != "" {
			names = append(names, s.inst.Name)
		}
	}
	have := "it names none"
	if len(names) > 0 {
		have = "there are " + strings.Join(names, ", ")
	}
	return nil, file.refuse(0, "", "it has no stage %q: %s", target, have)
}

// need marks s and what it needs, and checks them.
func (l *layout) need(r *Request, s *stage) error {
	if s.done != nil {
		return nil
	}
	s.done = make(chan struct{})
	if s.base.dir != "" {
		return l.file.unsupported(lineOf(s.inst.Location), oneLine(s.inst.SourceCode), "%s is a context of a directory, which no stage can be built on: COPY --from=%s takes files from it", s.baseText, s.baseText)
	}
	if s.base.image != "" {
		if _, err := reference.Parse(s.base.image); err != nil {
			return l.file.refuse(lineOf(s.inst.Location), oneLine(s.inst.SourceCode), "%v", err)
		}
		l.remotes = append(l.remotes, remote{line: lineOf(s.inst.Location), instruction: oneLine(s.inst.SourceCode), image: s.base.image})
	}
	if s.base.stage != nil {
		if err := l.need(r, s.base.stage); err != nil {
			return err
		}
	}
	scope := variables{list: slices.Clone(l.global.list)}
	words := newExpander(l.file.escape)
	for _, c := range s.inst.Commands {
		// Roughly: what the base sets is not known yet. It decides nothing that is refused but in a name that it is part of.
		foresee(words, c, &scope, r)
		if err := l.check(r, s, c); err != nil {
			return err
		}
	}
	return nil
}

// foresee gives scope what c sets, and a RUN its mounts as far as they can be known.
func foresee(words *expander, c instructions.Command, scope *variables, r *Request) {
	word := func(w string) string {
		out, err := words.word(w, scope)
		if err != nil {
			return w // told when it runs
		}
		return out
	}
	switch c := c.(type) {
	case *instructions.ArgCommand:
		for _, a := range c.Args {
			if v, ok := r.Args[a.Key]; ok {
				scope.set(a.Key, v)
			} else if a.Value != nil {
				scope.set(a.Key, word(*a.Value))
			}
		}
	case *instructions.EnvCommand:
		for _, kv := range c.Env {
			scope.set(word(kv.Key), word(kv.Value))
		}
	case *instructions.RunCommand:
		c.Expand(func(w string) (string, error) { return word(w), nil })
	}
}

// check refuses what of c cannot be done, and needs the stages that it names.
func (l *layout) check(r *Request, s *stage, c instructions.Command) error {
	line, text := lineOf(c.Location()), source(c)
	refuse := func(format string, args ...any) error { return l.file.refuse(line, text, format, args...) }
	unsupported := func(format string, args ...any) error { return l.file.unsupported(line, text, format, args...) }
	use := func(from string) error {
		o := l.origin(r, l.all[:s.index], from, true)
		if o.stage != nil {
			return l.need(r, o.stage)
		}
		if o.image != "" {
			for _, later := range l.all[s.index:] {
				if strings.EqualFold(later.inst.Name, from) || from == strconv.Itoa(later.index) {
					return refuse("stage %q is not before this one: only what is above can be used", from)
				}
			}
			if _, err := reference.Parse(o.image); err != nil {
				return refuse("%v", err)
			}
			l.remotes = append(l.remotes, remote{line: line, instruction: text, image: o.image})
		}
		return nil
	}
	switch c := c.(type) {
	case *instructions.CopyCommand:
		if c.From != "" {
			if c.From == "scratch" {
				return refuse("nothing can be copied from scratch: it is empty")
			}
			return use(c.From)
		}
		return l.checkSources(r, &c.SourcesAndDest, false, refuse, unsupported)
	case *instructions.AddCommand:
		if c.Checksum != "" && (len(c.SourcePaths) != 1 || !isURL(c.SourcePaths[0])) {
			return refuse("--checksum is for one source with http:// or https://")
		}
		if c.KeepGitDir != nil && *c.KeepGitDir {
			return unsupported("--keep-git-dir: git repositories are not fetched; clone it and COPY, or RUN git clone")
		}
		for _, src := range c.SourcePaths {
			if isURL(src) {
				l.remotes = append(l.remotes, remote{line: line, instruction: text, url: src})
			}
		}
		return l.checkSources(r, &c.SourcesAndDest, true, refuse, unsupported)
	case *instructions.RunCommand:
		return l.checkRun(r, c, use, refuse, unsupported)
	}
	return nil
}

type refusal func(format string, args ...any) error

func (l *layout) checkSources(r *Request, s *instructions.SourcesAndDest, add bool, refuse, unsupported refusal) error {
	if n := len(s.SourcePaths) + len(s.SourceContents); n > 1 && !asDirectory(s.DestPath) && !strings.Contains(s.DestPath, "$") {
		return refuse("%d sources go to a directory: write the destination with a slash at its end, %s/", n, s.DestPath)
	}
	for _, src := range s.SourcePaths {
		switch {
		case add && isURL(src):
			continue
		case add && isGit(src):
			return unsupported("git repositories are not fetched: clone it and COPY, or RUN git clone")
		case r.Context == "":
			return refuse("there is no context to take %q from: only the text of the Dockerfile was given", src)
		}
	}
	return nil
}

func (l *layout) checkRun(r *Request, c *instructions.RunCommand, use func(string) error, refuse, unsupported refusal) error {
	switch instructions.GetNetwork(c) {
	case instructions.NetworkHost:
		if r.Network != "host" {
			return refuse("--network=host: a build has the host's network only when the whole of it is given that: build.network: host")
		}
	}
	if instructions.GetSecurity(c) == instructions.SecurityInsecure && !r.Privileged {
		return refuse("--security=insecure: a build is privileged only when the whole of it is: build.privileged: true")
	}
	if slices.Contains(c.FlagsUsed, "device") {
		return unsupported("--device is not supported")
	}
	for _, m := range instructions.GetMounts(c) {
		switch m.Type {
		case instructions.MountTypeSSH:
			if m.Required {
				switch a, err := r.agent(agentID(m)); {
				case err != nil:
					return err
				case a == nil:
					return refuse("SSH agent %q is required and was not given", agentID(m))
				}
			}
		case instructions.MountTypeBind:
			if m.From == "" && r.Context == "" {
				return refuse("there is no context to mount: only the text of the Dockerfile was given")
			}
		case instructions.MountTypeSecret:
			if id := secretID(m); m.Required && id != "" {
				switch s, err := r.secret(id); {
				case err != nil:
					return err
				case s == nil:
					return refuse("secret %q is required and was not given", id)
				}
			}
		}
		if m.Type != instructions.MountTypeSecret && m.Type != instructions.MountTypeSSH && m.Target == "" {
			return refuse("--mount=type=%s has no target", m.Type)
		}
		if m.From != "" && (m.Type == instructions.MountTypeBind || m.Type == instructions.MountTypeCache) {
			if err := use(m.From); err != nil {
				return err
			}
		}
	}
	return nil
}

// unused tells of build arguments that no ARG declares.
func (l *layout) unused(r *Request) {
	declared := map[string]bool{"SOURCE_DATE_EPOCH": true}
	for _, name := range predefined {
		declared[name] = true
	}
	for i := range l.file.meta {
		for _, a := range l.file.meta[i].Args {
			declared[a.Key] = true
		}
	}
	for i := range l.file.stages {
		for _, c := range l.file.stages[i].Commands {
			if arg, ok := c.(*instructions.ArgCommand); ok {
				for _, a := range arg.Args {
					declared[a.Key] = true
				}
			}
		}
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(r.Args)) {
		if !declared[name] && !strings.HasPrefix(name, "BUILDKIT_") {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		file := "Dockerfile"
		if l.file.name != "" {
			file = filepath.Base(l.file.name)
		}
		l.notes = append(l.notes, fmt.Sprintf("%s declares no ARG %s: the build argument has no effect", file, strings.Join(names, ", ")))
	}
}
