package spec

import (
	"context"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/spec/dotenv"
	"github.com/stackrun/stack/spec/redact"
	"github.com/stackrun/stack/spec/tree"
)

// Default file names, first wins; the override belongs to a default file only.
var (
	defaultFiles  = []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}
	overrideFiles = []string{"compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"}
)

// Request is what a command line says about which project is meant. Nil and empty mean "not given".
type Request struct {
	Cwd        string                           // absolute
	Process    map[string]string                // the process environment
	Files      []string                         // -f
	ProjectDir string                           // --project-directory
	EnvFiles   []string                         // --env-file
	Name       string                           // -p
	Profiles   []string                         // --profile
	Isolated   *bool                            // --isolated; nil = STACK_ISOLATED says
	RealPath   func(dir string) (string, error) // dir without symbolic links, as filepath.EvalSymlinks; nil = directories are taken as they are called
	Remote     Fetcher                          // brings files of -f and COMPOSE_FILE that are remote; nil refuses them
}

// Location is the answer: which files, and with which variables they are read.
type Location struct {
	Files    []string // absolute or Stdin; none when there is none, which only matters to commands that need the file
	Fetched  []string // the directories of those of Files that were fetched
	Dir      string
	NameDir  string // the directory that names the project when nothing else does
	Env      map[string]string
	EnvFrom  map[string]diag.Pos // the lines of env files that define variables of Env; the others are the process's
	Name     string              // -p or COMPOSE_PROJECT_NAME, with Isolated; "" = the file or the directory names the project
	Isolated string              // what Load is to add to names that the file or the directory gives; "" = nothing
	Profiles []string
}

// Input is what Load needs of l.
func (l *Location) Input(fsys fs.FS) Input {
	return Input{FS: fsys, Files: l.Files, Fetched: l.Fetched, Dir: l.Dir, NameDir: l.NameDir, Env: l.Env, EnvFrom: l.EnvFrom, Profiles: l.Profiles, Name: l.Name, Isolated: l.Isolated}
}

// Locate applies docker compose's rules of precedence: which files (-f, COMPOSE_FILE,
// default names upwards from the working directory with their override), which
// variables (process, --env-file, .env), which project name and profiles. That no
// file is found is a fault of code CodeNoFile beside a usable Location. ctx bounds
// what r.Remote does.
func Locate(ctx context.Context, fsys fs.FS, r Request) (*Location, diag.List) {
	l := &locator{ctx: ctx, fs: fsys, Request: r, env: maps.Clone(r.Process), from: map[string]diag.Pos{}}
	if l.env == nil {
		l.env = map[string]string{}
	}
	l.env["PWD"] = r.Cwd
	loc := l.locate()
	return loc, l.List()
}

type locator struct {
	faults
	Request
	ctx        context.Context
	fs         fs.FS
	fetched    []string // directories of remote files
	env        map[string]string
	from       map[string]diag.Pos // where variables of env files are defined
	dotenvRead string              // the .env that was read first
}

func (l *locator) locate() *Location {
	envFiles := l.EnvFiles
	if len(envFiles) == 0 {
		for f := range strings.SplitSeq(l.Process["COMPOSE_ENV_FILES"], ",") {
			if f = strings.TrimSpace(f); f != "" {
				envFiles = append(envFiles, f)
			}
		}
	}
	useDotenv := len(envFiles) == 0 && !truthy(l.Process["COMPOSE_DISABLE_ENV_FILE"])
	if len(envFiles) > 0 {
		l.readEnvFiles(envFiles)
	} else if useDotenv && len(l.Files) == 0 && l.ProjectDir == "" {
		// With -f only the .env beside the file counts, but COMPOSE_FILE may come from this one.
		l.dotenv(l.Cwd)
	}
	loc := &Location{Env: l.env, EnvFrom: l.from}
	loc.Files = l.files()
	loc.Fetched = l.fetched
	switch {
	case l.ProjectDir != "":
		loc.Dir = absolute(l.Cwd, l.ProjectDir, l.env["HOME"])
	case len(loc.Files) > 0 && loc.Files[0] != Stdin:
		loc.Dir = path.Dir(loc.Files[0])
	default:
		loc.Dir = l.Cwd
	}
	loc.NameDir = loc.Dir
	if l.ProjectDir == "" && len(l.fetched) > 0 {
		// The project is where its first remote file is, also when another comes before that. But a directory of the cache is no name, and
		// who wrote the file does not set the user's variables.
		if l.remote(loc.Files[0]) {
			loc.NameDir = l.Cwd
		}
		loc.Dir = path.Dir(loc.Files[slices.IndexFunc(loc.Files, l.remote)])
	}
	if useDotenv {
		l.dotenv(loc.NameDir)
	}
	loc.Name = l.name()
	l.isolate(loc)
	loc.Profiles = l.Profiles
	if loc.Profiles == nil {
		for p := range strings.SplitSeq(l.env["COMPOSE_PROFILES"], ",") {
			if p = strings.TrimSpace(p); p != "" {
				loc.Profiles = append(loc.Profiles, p)
			}
		}
	}
	if len(loc.Files) == 0 && !l.HasErrors() {
		l.err(CodeNoFile, nil, "no "+strings.Join(defaultFiles, ", ")+" in "+l.searchDir()+" or above", "name a file with -f")
	}
	return loc
}

func (l *locator) searchDir() string {
	if l.ProjectDir != "" {
		return absolute(l.Cwd, l.ProjectDir, l.env["HOME"])
	}
	return l.Cwd
}

func (l *locator) files() []string {
	names := l.Files
	if len(names) == 0 && l.env["COMPOSE_FILE"] != "" {
		sep := l.env["COMPOSE_PATH_SEPARATOR"]
		if sep == "" {
			sep = ":"
		}
		names = strings.Split(l.env["COMPOSE_FILE"], sep)
		if sep == ":" && strings.Contains(l.env["COMPOSE_FILE"], "://") {
			l.at(diag.Error, CodeValue, diag.Pos{File: "COMPOSE_FILE"}, "a list with ':' between its files cannot have a URL in it", "set COMPOSE_PATH_SEPARATOR to another character, such as ','")
			return nil
		}
	}
	if len(names) > 0 {
		var out []string
		for _, f := range names {
			switch {
			case isRemote(f):
				var ok bool
				if f, ok = l.fetch(f); !ok {
					continue
				}
			case f != Stdin:
				f = absolute(l.Cwd, f, l.env["HOME"])
			}
			out = append(out, f)
		}
		return out
	}
	for dir := l.searchDir(); ; dir = path.Dir(dir) {
		if found := l.present(dir, defaultFiles); len(found) > 0 {
			if len(found) > 1 {
				l.at(diag.Warning, CodeIgnored, diag.Pos{File: found[1]}, "several default files in "+dir+": "+found[0]+" is used", "")
			}
			over := l.present(dir, overrideFiles)
			if len(over) > 1 {
				l.at(diag.Warning, CodeIgnored, diag.Pos{File: over[1]}, "several override files in "+dir+": "+over[0]+" is used", "")
			}
			return append(found[:1], over[:min(1, len(over))]...)
		}
		if dir == "/" || dir == "." {
			return nil
		}
	}
}

// remote says whether file was fetched.
func (l *locator) remote(file string) bool {
	return slices.ContainsFunc(l.fetched, func(root string) bool { return inDir(root, file) })
}

// fetch brings a remote file and returns where it is.
func (l *locator) fetch(ref string) (string, bool) {
	at := diag.Pos{File: redact.URLs(ref)}
	if l.Remote == nil {
		l.at(diag.Error, CodeRefused, at, "remote references are not fetched here", "use a local file")
		return "", false
	}
	file, root, err := l.Remote.Fetch(l.ctx, ref)
	if err != nil {
		l.at(diag.Error, CodeFetch, at, err.Error(), "")
		return "", false
	}
	l.fetched = append(l.fetched, root)
	return file, true
}

func (l *locator) present(dir string, names []string) []string {
	var out []string
	for _, n := range names {
		if f := path.Join(dir, n); exists(l.fs, f) {
			out = append(out, f)
		}
	}
	return out
}

// dotenv adds the variables of dir/.env that are not set yet.
func (l *locator) dotenv(dir string) {
	file := path.Join(dir, ".env")
	if l.dotenvRead == file {
		return // the working directory is the project's
	}
	if info, err := fs.Stat(l.fs, fsPath(file)); err != nil || info.IsDir() {
		return
	}
	l.dotenvRead = file
	l.readEnv(file, l.env)
}

// readEnvFiles adds the variables of --env-file: later files win, the process wins over all.
func (l *locator) readEnvFiles(files []string) {
	read := maps.Clone(l.env)
	for _, f := range files {
		file := absolute(l.Cwd, f, l.env["HOME"])
		for k, e := range l.entries(file, read) {
			if _, set := l.env[k]; !set {
				read[k], l.from[k] = e.Value, diag.Pos{File: file, Line: e.Line}
			}
		}
	}
	l.env = read
}

func (l *locator) readEnv(file string, into map[string]string) {
	for k, e := range l.entries(file, into) {
		if _, set := into[k]; !set {
			into[k], l.from[k] = e.Value, diag.Pos{File: file, Line: e.Line}
		}
	}
}

func (l *locator) entries(file string, env map[string]string) map[string]dotenv.Entry {
	data, err := readFile(l.fs, file, tree.MaxFile)
	if err != nil {
		l.at(diag.Error, CodeRead, diag.Pos{File: file}, err.Error(), "")
		return nil
	}
	list, _ := l.parseEnv(file, data, false, func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	})
	out := make(map[string]dotenv.Entry, len(list))
	for _, e := range list {
		out[e.Key] = e
	}
	return out
}

// name is -p or COMPOSE_PROJECT_NAME, which must be normal already.
func (l *locator) name() string {
	name := l.Name
	if name == "" {
		name = l.env["COMPOSE_PROJECT_NAME"]
	}
	if name != "" && NormalName(name) != name {
		// docker compose's words, which scripts look for: the name is part of the summary.
		l.Add(&diag.Diagnostic{Code: CodeName, Summary: "invalid project name " + strconv.Quote(name),
			Detail: "must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number"})
	}
	return name
}

// truthy reads a boolean variable as docker compose does: anything else is false.
func truthy(s string) bool {
	b, err := strconv.ParseBool(s)
	return err == nil && b || s == "y" || s == "Y"
}
