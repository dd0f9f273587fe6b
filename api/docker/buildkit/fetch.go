package buildkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/patternmatcher/ignorefile"

	"github.com/stackrun/stack/api/docker/buildkit/session"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sourcetree"
	"github.com/stackrun/stack/reconcile"
)

// fetcher brings a build's sources from its client.
type fetcher struct {
	*caller
	session  *session.Session
	progress *progress
	d        *dockerfile
	contexts map[string]string // of d, without links
	dir      string            // empty, for all of it
}

// sessionOf is that which has the client's directory name.
func (f *fetcher) lender(ctx context.Context, name string) (*session.Session, error) {
	if id := f.d.sessions[name]; id != "" {
		return f.sessions.Get(ctx, id, f.owner)
	}
	return f.session, nil
}

// receive puts what sel takes of the client's directory name into one of its own, which it returns.
func (f *fetcher) receive(ctx context.Context, name, as, shown string, sel session.Selection, limits sourcetree.Limits) (string, error) {
	dir := filepath.Join(f.dir, as)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	s, err := f.lender(ctx, name)
	if err != nil {
		return "", err
	}
	key := "fetch " + as
	return dir, f.progress.step(key, "[internal] load "+shown, func() error {
		began := time.Now()
		var last, total int64
		tell := func(bytes int64, done bool) {
			f.progress.transfer(key, "transferring "+shown+":", began, bytes, done)
		}
		err := s.Receive(ctx, name, dir, sel, limits, func(bytes int64) {
			if total = bytes; bytes-last >= 1<<20 {
				last = bytes
				tell(bytes, false)
			}
		})
		tell(total, true)
		return err
	})
}

// small are the bounds of a Dockerfile and what belongs to it.
var small = sourcetree.Limits{Bytes: 16 << 20, Entries: 10000}

// fetch brings all, and says where it is.
func (f *fetcher) fetch(ctx context.Context) (reconcile.BuildSources, error) {
	var from reconcile.BuildSources
	d := f.d
	if d.upload != nil {
		if err := f.unpack(ctx, &from); err != nil {
			return from, err
		}
	}
	if d.upload == nil || d.local != "" {
		if err := f.definition(ctx, &from); err != nil {
			return from, err
		}
	}
	if d.upload == nil {
		if err := f.context(ctx, &from); err != nil {
			return from, err
		}
	}
	return from, f.further(ctx, &from)
}

// definition brings the Dockerfile.
func (f *fetcher) definition(ctx context.Context, from *reconcile.BuildSources) error {
	name := strings.TrimPrefix(path.Clean("/"+f.d.filename), "/")
	local := f.d.local
	if local == "" {
		local = f.d.context
	}
	dir, err := f.receive(ctx, local, "dockerfile", "build definition from "+name, session.Selection{Include: []string{escape(name), escape(name + ".dockerignore")}}, small)
	if err != nil {
		return err
	}
	found, err := reconcile.SourcesIn(dir, name)
	if err != nil {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot read the Dockerfile: the client has no %s", f.d.filename))
	}
	from.Dockerfile = found.Dockerfile
	return nil
}

// escape makes a pattern of a name.
func escape(name string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "!", `\!`).Replace(name)
}

// context brings the sources, without what .dockerignore leaves out: the client is told of that.
func (f *fetcher) context(ctx context.Context, from *reconcile.BuildSources) error {
	text, err := os.ReadFile(from.Dockerfile + ".dockerignore")
	own := err == nil // the Dockerfile's: the context's is not read
	if errors.Is(err, os.ErrNotExist) {
		var dir string
		if dir, err = f.receive(ctx, f.d.context, "ignore", ".dockerignore", session.Selection{Include: []string{".dockerignore"}}, small); err != nil {
			return err
		}
		if err = checkIgnore(dir); err == nil {
			text, err = os.ReadFile(filepath.Join(dir, ".dockerignore"))
		}
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	patterns, err := ignorefile.ReadAll(bytes.NewReader(text))
	if err != nil {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot read .dockerignore: %w", err))
	}
	from.Context, err = f.receive(ctx, f.d.context, "context", directory("context"), session.Selection{Exclude: patterns}, sourcetree.Limits{})
	if err == nil && !own {
		err = checkIgnore(from.Context) // it may be another one than before
	}
	return err
}

// checkIgnore refuses a .dockerignore in dir that leads out: it is read by its name.
func checkIgnore(dir string) error {
	if _, err := os.Lstat(filepath.Join(dir, ".dockerignore")); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	_, err := reconcile.SourcesIn(dir, ".dockerignore")
	return err
}

// unpack brings the sources that the client sends as a tar stream.
func (f *fetcher) unpack(ctx context.Context, from *reconcile.BuildSources) error {
	dir := filepath.Join(f.dir, "context")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return f.progress.step("fetch context", "[internal] load remote build context", func() (err error) {
		r, err := f.session.Upload(ctx, f.d.upload.Host, f.d.upload.Path)
		if err != nil {
			return err
		}
		defer r.Close()
		*from, err = reconcile.ReceiveSources(ctx, dir, r, f.d.filename)
		return err
	})
}

// further brings the contexts that have a name.
func (f *fetcher) further(ctx context.Context, from *reconcile.BuildSources) error {
	from.Contexts = map[string]string{}
	n := 0
	for name, what := range f.contexts {
		local, ok := strings.CutPrefix(what, "local:")
		if !ok {
			from.Contexts[name] = what
			continue
		}
		n++
		dir, err := f.receive(ctx, local, fmt.Sprintf("named-%d", n), directory(name), session.Selection{}, sourcetree.Limits{})
		if err == nil {
			err = checkIgnore(dir)
		}
		if err != nil {
			return err
		}
		from.Contexts[name] = dir
	}
	return nil
}
