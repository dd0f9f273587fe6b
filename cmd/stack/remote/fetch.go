package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
)

// Fetcher fetches into Cache, each reference once.
type Fetcher struct {
	Cache string            // absolute; made when it is needed
	Env   map[string]string // for git: PATH, HOME, proxies and the user's GIT_ variables
	Begin func()            // called before something is fetched; nil = nothing
	// Artifact brings an artifact of a registry into a directory of the cache, whose path it returns: artifact.Fetch, or who has it do so.
	Artifact func(ctx context.Context, cache, ref string) (root string, err error)

	// Offline says whether only what is in the cache may be used, which is what a commit or a digest names; nil = no.
	Offline func() bool

	mu    sync.Mutex
	known map[string]fetched
}

type fetched struct{ file, root string }

// New makes a Fetcher without Artifact, whose cache is where the user's environment has caches: $XDG_CACHE_HOME/stack, else
// ~/.cache/stack (XDG base directory specification).
func New(env map[string]string) *Fetcher {
	base := env["XDG_CACHE_HOME"]
	if !filepath.IsAbs(base) && env["HOME"] != "" {
		base = filepath.Join(env["HOME"], ".cache")
	}
	f := &Fetcher{Env: env}
	if filepath.IsAbs(base) {
		f.Cache = filepath.Join(base, "stack")
	}
	return f
}

// limit bounds one fetch: whoever waits for a name server or a password that nobody types is told.
const limit = 2 * time.Minute

// Fetch brings what ref names. file is the Compose file, root the directory that holds all that came with it; both are
// absolute and below the cache.
func (f *Fetcher) Fetch(ctx context.Context, ref string) (file, root string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if k, ok := f.known[ref]; ok {
		return k.file, k.root, nil
	}
	if f.Cache == "" {
		return "", "", errdefs.With(errdefs.ErrInvalidArgument, errors.New("there is no place to keep it: neither HOME nor XDG_CACHE_HOME is set"))
	}
	if f.Begin != nil {
		f.Begin()
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took more than %v", limit))
	defer cancel()
	var k fetched
	if rest, ok := strings.CutPrefix(ref, "oci://"); ok {
		k, err = f.oci(ctx, rest)
	} else {
		k, err = f.git(ctx, ref)
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return "", "", err
	}
	if err := inside(k.root, k.file); err != nil {
		return "", "", err
	}
	if f.known == nil {
		f.known = map[string]fetched{}
	}
	f.known[ref] = k
	return k.file, k.root, nil
}

// Tree brings the directory that ref names in a git repository, without what git keeps there: the sources of a build.
func (f *Fetcher) Tree(ctx context.Context, ref string) (dir string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if k, ok := f.known["tree "+ref]; ok {
		return k.file, nil
	}
	if f.Cache == "" {
		return "", errdefs.With(errdefs.ErrInvalidArgument, errors.New("there is no place to keep it: neither HOME nor XDG_CACHE_HOME is set"))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took more than %v", limit))
	defer cancel()
	k, err := f.tree(ctx, ref)
	if err == nil {
		err = inside(k.root, k.file)
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return "", err
	}
	if f.known == nil {
		f.known = map[string]fetched{}
	}
	f.known["tree "+ref] = k
	return k.file, nil
}

// ErrOffline is that something would have to be fetched.
var ErrOffline = errors.New("it is not fetched offline, and the cache has what a whole commit or digest names, of what was fetched before")

func (f *Fetcher) offline() bool { return f.Offline != nil && f.Offline() }

// hasArtifact says whether ref is an artifact by its digest which the cache has, see artifact.Fetch.
func (f *Fetcher) hasArtifact(ref string) bool {
	_, hex, ok := strings.Cut(ref, "@sha256:")
	if !ok || !filepath.IsLocal(hex) {
		return false
	}
	_, err := os.Stat(filepath.Join(f.Cache, "oci", hex))
	return err == nil
}

// inside refuses a Compose file that is, by symbolic links, outside of what was fetched.
func inside(root, file string) error {
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return plain(err)
	}
	top, err := filepath.EvalSymlinks(root)
	if err != nil {
		return plain(err)
	}
	if rel, err := filepath.Rel(top, real); err != nil || !filepath.IsLocal(rel) {
		return fmt.Errorf("%s is a link to a file outside of it", filepath.Base(file))
	}
	return nil
}

// plain drops the operation of a path error.
func plain(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", filepath.Base(pe.Path), pe.Err)
	}
	return err
}

// oci is the Compose file of an artifact of a registry.
func (f *Fetcher) oci(ctx context.Context, ref string) (fetched, error) {
	if f.offline() && !f.hasArtifact(ref) {
		return fetched{}, ErrOffline
	}
	root, err := f.Artifact(ctx, f.Cache, ref)
	if err != nil {
		return fetched{}, err
	}
	file, err := composeFile(root)
	return fetched{file, root}, err
}

// Keep makes the directory name of cache by fill, unless it is there: in a directory beside it that appears
// under its name when it is whole. Two that do so at a time keep one.
func Keep(cache, name string, fill func(dir string) error) (string, error) {
	dir := filepath.Join(cache, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", fmt.Errorf("cannot make the cache: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".new-")
	if err != nil {
		return "", fmt.Errorf("cannot make the cache: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := fill(tmp); err != nil {
		return "", err
	}
	if err := os.Rename(tmp, dir); err != nil {
		if _, there := os.Stat(dir); there == nil {
			return dir, nil
		}
		return "", fmt.Errorf("cannot keep what was fetched: %w", err)
	}
	return dir, nil
}

// ComposeFiles are the names that a directory's Compose file may have, first wins.
var ComposeFiles = []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}

// composeFile is the Compose file that path is or has.
func composeFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", plain(err)
	}
	if !info.IsDir() {
		return path, nil
	}
	for _, name := range ComposeFiles {
		if info, err := os.Stat(filepath.Join(path, name)); err == nil && info.Mode().IsRegular() {
			return filepath.Join(path, name), nil
		}
	}
	return "", fmt.Errorf("it has no %s", strings.Join(ComposeFiles, ", "))
}
