package build

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/stackrun/stack/build/rootfs"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/runtime/mount"
)

// transfer is what a COPY or ADD does, in the words that decide what comes of it.
type transfer struct {
	verb     string
	dest     string // absolute
	asDir    bool   // written as a directory
	chown    string
	chmod    string
	parents  bool
	excludes []string
	sources  []string
	texts    []instructions.SourceContent
	history  string
}

func (w *worker) newTransfer(verb string, s instructions.SourcesAndDest, history string) transfer {
	return transfer{verb: verb, dest: w.state.inWorkdir(s.DestPath), asDir: asDirectory(s.DestPath), sources: s.SourcePaths, texts: s.SourceContents, history: history}
}

// piece is a source of a transfer, looked up.
type piece struct {
	tree    *tree
	list    []*entry
	base    string // its name at the destination
	into    string // with --parents, the directories on the way, relative to the destination
	archive bool   // a local archive, which an ADD unpacks
}

// copyCommand carries out COPY.
func (w *worker) copyCommand(ctx context.Context, c *instructions.CopyCommand, p Progress) (bool, error) {
	t := w.newTransfer("COPY", c.SourcesAndDest, historyOf(c))
	t.chown, t.chmod, t.parents, t.excludes = c.Chown, c.Chmod, c.Parents, c.ExcludePatterns
	if c.From == "" {
		return w.fromContext(ctx, t, p, w.r.Context)
	}
	w.planMu.Lock()
	o := w.l.origin(w.r, w.l.all[:w.stage.index], c.From, true)
	w.planMu.Unlock()
	if o.dir != "" {
		return w.fromContext(ctx, t, p, o.dir)
	}
	layers, err := w.layersOf(ctx, o)
	if err != nil {
		return false, err
	}
	name := "image " + c.From
	if o.stage != nil {
		name = "stage " + o.stage.name
	}
	return w.fromLayers(ctx, t, p, name, layers)
}

// layersOf are those of a stage, when it is there, or an image.
func (j *job) layersOf(ctx context.Context, o origin) ([]v1.Hash, error) {
	var st *state
	var err error
	if o.stage != nil {
		st, err = j.wait(ctx, o.stage)
	} else {
		st, err = j.base(ctx, o.image)
	}
	if err != nil {
		return nil, err
	}
	return st.layers(), nil
}

// fromContext takes files from a directory of the host.
func (w *worker) fromContext(ctx context.Context, t transfer, p Progress, dir string) (bool, error) {
	var src *tree
	if dir != "" {
		var err error
		if src, err = w.context(dir); err != nil {
			return false, err
		}
	}
	pieces, err := w.pieces(ctx, t, src)
	if err != nil {
		return false, err
	}
	k := w.transferKey(t)
	addPieces(k, pieces)
	return w.transferStep(ctx, k.String(), p, t, pieces)
}

// fromLayers takes files from what a stage or an image has. What its layers mean for t is known from before, where they were looked at.
func (w *worker) fromLayers(ctx context.Context, t transfer, p Progress, name string, layers []v1.Hash) (bool, error) {
	q := newKey("content of")
	q.layers(layers)
	q.list(t.sources)
	q.list(t.excludes)
	q.add(fmt.Sprint(t.parents))
	memo := q.String()

	stepKey := func(content string) string {
		k := w.transferKey(t)
		k.add(content)
		return k.String()
	}
	if known, ok := w.known(ctx, memo); ok && known.Content != "" {
		if r, ok := w.cached(ctx, stepKey(known.Content)); ok {
			w.state.made(t.history, r)
			return true, nil
		}
	}
	// The snapshot that holds the layers while they are looked at; nothing is written on it.
	view := keyPrefix + objectid.New()
	mounts, err := w.prepare(ctx, view, nil, layers)
	if err != nil {
		return false, err
	}
	defer func() { _ = w.b.opt.Images.Remove(context.WithoutCancel(ctx), view) }() // swept later if not now
	root, err := rootfs.Mount(mounts[1])
	if err != nil {
		return false, err
	}
	src := &tree{name: name, root: root}
	defer src.close()
	pieces, err := w.pieces(ctx, t, src)
	if err != nil {
		return false, err
	}
	k := newKey("content")
	addPieces(k, pieces)
	content := k.String()
	if err := w.keep(memo, stepRecord{Content: content}); err != nil {
		return false, err
	}
	return w.transferStep(ctx, stepKey(content), p, t, pieces)
}

// transferStep carries out t, of which key knows everything, or takes what it has made before.
func (w *worker) transferStep(ctx context.Context, key string, p Progress, t transfer, pieces []piece) (bool, error) {
	r, cached, err := w.layerStep(ctx, key, p, func(ctx context.Context, key string) (bool, error) {
		mounts, err := w.prepare(ctx, key, w.state.layers())
		if err != nil {
			return false, err
		}
		return w.transfer(ctx, mounts[0], t, pieces)
	})
	if err == nil {
		w.state.made(t.history, r)
	}
	return cached, err
}

// transferKey has everything that decides what t makes but the files themselves.
func (w *worker) transferKey(t transfer) key {
	k := newKey(t.verb)
	k.layers(w.state.layers())
	k.add(t.dest, fmt.Sprint(t.asDir, t.parents), t.chown, t.chmod, fmt.Sprint(w.epoch.Unix()))
	for _, text := range t.texts {
		k.add(text.Path, text.Data)
	}
	return k
}

func addPieces(k key, pieces []piece) {
	for _, p := range pieces {
		k.add(p.base, p.into, fmt.Sprint(p.archive, len(p.list)))
		for _, e := range p.list {
			p.tree.addTo(k, e)
		}
	}
}

// pieces looks up the sources of t in src, which may be nil when there are none.
func (w *worker) pieces(ctx context.Context, t transfer, src *tree) ([]piece, error) {
	exclude, err := newIgnore(t.excludes)
	if err != nil {
		return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("--exclude: %w", err))
	}
	var pieces []piece
	for _, source := range t.sources {
		if t.verb == "ADD" && isURL(source) {
			continue
		}
		pattern, pivot := source, ""
		if t.parents {
			// What is before /./ is not repeated at the destination.
			if before, after, ok := strings.Cut(source, "/./"); ok {
				pattern, pivot = before+"/"+after, path.Clean("/" + before)[1:]
			}
		}
		list, err := src.match(pattern)
		if err != nil {
			return nil, err
		}
		if len(list) > 1 && !t.asDir && !t.parents {
			return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("%q matches %d files, which go to a directory: write the destination with a slash at its end", source, len(list)))
		}
		for _, f := range list {
			p := piece{tree: src, base: path.Base(f.named)}
			if t.parents {
				if p.into = path.Dir(strings.TrimPrefix(strings.TrimPrefix(f.named, pivot), "/")); f.dir {
					p.into = strings.TrimPrefix(strings.TrimPrefix(f.named, pivot), "/")
				}
			}
			if p.list, err = src.collect(ctx, f.canonical, exclude); err != nil {
				return nil, err
			}
			if f.partly && len(p.list) == 1 {
				return nil, src.missing(source)
			}
			if t.verb == "ADD" && !f.dir {
				if p.archive, err = isArchive(src, f.canonical); err != nil {
					return nil, err
				}
			}
			pieces = append(pieces, p)
		}
	}
	return pieces, nil
}

// transfer writes pieces and texts into the root that m is. keep is false when a file has changed since it was looked up.
func (w *worker) transfer(ctx context.Context, m mount.Mount, t transfer, pieces []piece) (keep bool, err error) {
	root, err := rootfs.Mount(rootfs.Writable(m))
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	out, err := newWriter(root, t)
	if err != nil {
		return false, err
	}
	for _, text := range t.texts {
		if err := out.text(text, t); err != nil {
			return false, err
		}
	}
	for _, p := range pieces {
		dest, asDir := t.dest, t.asDir
		if t.parents {
			dest, asDir = path.Join(dest, p.into), true
		}
		if p.archive {
			err = w.unpack(ctx, out, p, dest)
		} else {
			err = out.put(ctx, p.tree, p.list, p.base, dest, asDir)
		}
		if err != nil {
			return false, err
		}
	}
	if err := out.finish(); err != nil {
		return false, err
	}
	if out.changed != "" {
		w.note(fmt.Sprintf("%s has changed while it was copied: the step is done anew next time", out.changed))
	}
	return out.changed == "", nil
}

func newWriter(root *rootfs.Root, t transfer) (*writer, error) {
	out := &writer{root: root}
	var err error
	if out.chmod, err = parseChmod(t.chmod); err != nil {
		return nil, errdefs.With(errdefs.ErrInvalidArgument, err)
	}
	if t.chown != "" {
		out.owned = true
		if out.uid, out.gid, err = root.Owner(t.chown); err != nil {
			return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("--chown=%s: %w", t.chown, err))
		}
	}
	return out, nil
}

// text writes a here-document.
func (w *writer) text(c instructions.SourceContent, t transfer) error {
	canonical, exists, isDir, err := w.destination(t.dest)
	if err == nil && (isDir || t.asDir) {
		canonical, exists, isDir, err = w.inside(path.Join(t.dest, c.Path))
	}
	if err != nil {
		return err
	}
	if isDir {
		return fmt.Errorf("/%s is a directory, which a file does not replace", canonical)
	}
	if err := w.parents(canonical, exists); err != nil {
		return err
	}
	return w.root.File(canonical, strings.NewReader(c.Data), rootfs.Attributes{UID: w.uid, GID: w.gid, Mode: w.chmod.apply(0o644, false)})
}

// historyOf is c as the history has it.
func historyOf(c instructions.Command) string {
	switch c := c.(type) {
	case *instructions.CopyCommand:
		return transferText("COPY", c.SourcesAndDest, "from", c.From, "chown", c.Chown, "chmod", c.Chmod)
	case *instructions.AddCommand:
		return transferText("ADD", c.SourcesAndDest, "chown", c.Chown, "chmod", c.Chmod, "checksum", c.Checksum)
	}
	return ""
}

func transferText(verb string, s instructions.SourcesAndDest, flags ...string) string {
	words := []string{verb}
	for i := 0; i < len(flags); i += 2 {
		if flags[i+1] != "" {
			words = append(words, "--"+flags[i]+"="+flags[i+1])
		}
	}
	words = append(words, s.SourcePaths...)
	for _, c := range s.SourceContents {
		words = append(words, "<<"+c.Path)
	}
	return strings.Join(append(words, s.DestPath), " ")
}
