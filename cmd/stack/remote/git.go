package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/stackrun/stack/internal/lazyregexp"
)

// commit is a whole object name: SHA-1 or SHA-256.
var commit = lazyregexp.New(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// git brings one commit of a repository. A commit that is in the cache is not asked for again; what a branch or a
// tag is, always.
func (f *Fetcher) git(ctx context.Context, text string) (fetched, error) {
	root, r, id, err := f.commit(ctx, text, "git", false)
	if err != nil {
		return fetched{}, err
	}
	file, err := composeFile(filepath.Join(root, r.path))
	if err != nil {
		return fetched{}, fmt.Errorf("%s at %s: %w", withoutPassword(r.repository), id[:12], err)
	}
	return fetched{file, root}, nil
}

// tree is git for a directory of files.
func (f *Fetcher) tree(ctx context.Context, text string) (fetched, error) {
	root, r, id, err := f.commit(ctx, text, "trees", true)
	if err != nil {
		return fetched{}, err
	}
	dir := filepath.Join(root, r.path)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fetched{}, fmt.Errorf("%s at %s has no directory %s", withoutPassword(r.repository), id[:12], r.path)
	}
	return fetched{dir, root}, nil
}

// commit brings one into the part of the cache that is called place; bare is without the .git directory.
func (f *Fetcher) commit(ctx context.Context, text, place string, bare bool) (root string, r gitReference, id string, err error) {
	// docker compose's switch, for those who do not want a file to reach out.
	if on, err := strconv.ParseBool(f.Env["COMPOSE_EXPERIMENTAL_GIT_REMOTE"]); err == nil && !on {
		return "", r, "", errors.New("COMPOSE_EXPERIMENTAL_GIT_REMOTE turns git references off")
	}
	if r, err = parseGit(text); err != nil {
		return "", r, "", err
	}
	if id = r.ref; !commit.MatchString(id) {
		if f.offline() {
			return "", r, "", ErrOffline
		}
		if id, err = f.resolve(ctx, r); err != nil {
			return "", r, "", err
		}
	}
	root, err = Keep(f.Cache, filepath.Join(place, id), func(dir string) error {
		if f.offline() {
			return ErrOffline
		}
		err := f.checkout(ctx, dir, r.repository, id)
		if err == nil && bare {
			err = os.RemoveAll(filepath.Join(dir, ".git"))
		}
		if err != nil {
			return fmt.Errorf("cannot fetch %s of %s: %w", id[:12], withoutPassword(r.repository), err)
		}
		return nil
	})
	return root, r, id, err
}

// resolve asks the repository which commit r.ref is.
func (f *Fetcher) resolve(ctx context.Context, r gitReference) (string, error) {
	ref := r.ref
	if ref == "" {
		ref = "HEAD"
	}
	// ^{} is the commit that an annotated tag is of.
	out, err := f.run(ctx, "", "ls-remote", "--exit-code", "--", r.repository, ref, ref+"^{}")
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 2 { // git-ls-remote(1): nothing matches
		return "", fmt.Errorf("%s has no branch or tag %s", withoutPassword(r.repository), ref)
	}
	if err != nil {
		return "", fmt.Errorf("cannot ask %s: %w", withoutPassword(r.repository), err)
	}
	best, id := -1, ""
	for line := range strings.Lines(out) {
		sha, name, _ := strings.Cut(strings.TrimSpace(line), "\t")
		// As git does: a tag before a branch of the same name (gitrevisions(7)).
		rank := 0
		switch name {
		case ref, "refs/heads/" + ref:
			rank = 1
		case "refs/tags/" + ref:
			rank = 2
		case ref + "^{}", "refs/tags/" + ref + "^{}":
			rank = 3
		}
		if commit.MatchString(sha) && rank > best {
			best, id = rank, sha
		}
	}
	if id == "" {
		return "", fmt.Errorf("cannot ask %s: git ls-remote answered no commit", withoutPassword(r.repository))
	}
	return id, nil
}

func (f *Fetcher) checkout(ctx context.Context, dir, repository, id string) error {
	for _, args := range [][]string{
		{"init", "--quiet", "--template="},
		{"fetch", "--quiet", "--depth=1", "--no-tags", "--", repository, id},
		{"checkout", "--quiet", "--detach", "FETCH_HEAD"},
	} {
		if _, err := f.run(ctx, dir, args...); err != nil {
			return err
		}
	}
	return links(dir)
}

// links refuses symbolic links that lead out of dir: env files and parts would be read through them.
func links(dir string) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink == 0 {
			return err
		}
		to, err := os.Readlink(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, filepath.Join(filepath.Dir(name), to))
		if err != nil || filepath.IsAbs(to) || !filepath.IsLocal(rel) {
			return fmt.Errorf("its %s is a link out of the repository", strings.TrimPrefix(name, dir+"/"))
		}
		return nil
	})
}

// maxSaid bounds what is kept of git's output, bytes.
const maxSaid = 1 << 20

// run runs git without anybody to ask, without hooks, and with the transports that parseGit allows.
func (f *Fetcher) run(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "advice.detachedHead=false"}, args...)...)
	cmd.Dir = dir
	for k, v := range f.Env {
		switch k {
		case "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_ALLOW_PROTOCOL", "GIT_OBJECT_DIRECTORY": // of a repository that the user is in
		default:
			cmd.Env = append(cmd.Env, k+"="+v)
		}
	}
	cmd.Env = append(cmd.Env, "GIT_ALLOW_PROTOCOL=https:http:ssh:git", "LC_ALL=C")
	if f.Env["GIT_TERMINAL_PROMPT"] == "" {
		cmd.Env = append(cmd.Env, "GIT_TERMINAL_PROMPT=0")
	}
	if f.Env["GIT_SSH"] == "" && f.Env["GIT_SSH_COMMAND"] == "" {
		cmd.Env = append(cmd.Env, "GIT_SSH_COMMAND=ssh -o BatchMode=yes -o ControlMaster=no")
	}
	var out, said bounded
	cmd.Stdout, cmd.Stderr = &out, &said
	// git starts helpers: all go when the context ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return "", errors.New("there is no git program")
		}
		if text := lastLine(said.String()); text != "" {
			return "", fmt.Errorf("%s: %w", text, err)
		}
		return "", err
	}
	return out.String(), nil
}

// bounded is the beginning of what is written to it.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), max(0, maxSaid-b.Len()))])
	return len(p), nil
}

// lastLine is the last line that git said, without passwords of URLs.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for _, l := range lines {
		if strings.HasPrefix(l, "fatal:") || strings.HasPrefix(l, "error:") {
			return withoutPasswords.ReplaceAllString(strings.TrimSpace(l), "://")
		}
	}
	return withoutPasswords.ReplaceAllString(lines[len(lines)-1], "://")
}

var withoutPasswords = lazyregexp.New(`://[^/\s"@']+@`)

// withoutPassword is a repository as it may be shown.
func withoutPassword(repository string) string {
	if u, err := url.Parse(repository); err == nil && u.User != nil {
		u.User = nil
		return u.String()
	}
	return repository
}
