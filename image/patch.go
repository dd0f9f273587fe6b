package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/image/unpack"
)

// A patch is one more layer on top of an image's own, made here. It is there because layers are unpacked apart from
// each other, while the image specification applies them one after another to one tree, in which
//
//   - a layer with a/b but no entry for a leaves a as the layers below have it; overlayfs would show the mode and
//     owner that a has in the upper layer, where it had to be made up. The patch has a as it should be;
//   - a hard link can have its target in a lower layer. The patch has the link;
//   - a can be a symbolic link in a lower layer, and a/b means what is behind it (see graft.go).
//
// Few images need one: builders write whole parents. It is named by the chain of layers that it is for.

func (s *Store) patchDir(name string) string { return s.path("patches", name) }
func (s *Store) patchFS(name string) string  { return filepath.Join(s.patchDir(name), "fs") }

// stack is the layers of one image as overlayfs will see them, lowest first. They do not change while it is in use: what it
// has found out of a directory it keeps, so that the next one below starts there and not at the root.
type stack struct {
	layers []*stackLayer
	views  map[view][]int
}

// view names what visible has an answer for.
type view struct {
	top  int
	name string
}

type stackLayer struct {
	unpack.Result
	fs      string
	implied map[string]bool    // Result.Implied
	ways    map[string]finding // of directories
}

func newStackLayer(r unpack.Result, fs string) *stackLayer {
	l := &stackLayer{Result: r, fs: fs, implied: make(map[string]bool, len(r.Implied)), ways: make(map[string]finding)}
	for _, dir := range r.Implied {
		l.implied[dir] = true
	}
	return l
}

func (st *stack) top() int { return len(st.layers) - 1 }

// ensurePatch makes the patch that layers need and returns its name, "" when they need none.
func (s *Store) ensurePatch(ctx context.Context, layers []v1.Hash) (string, error) {
	st := stack{views: make(map[view][]int)}
	needed := false
	for i, d := range layers {
		if slices.Contains(layers[i+1:], d) {
			continue // as in lower: its upper occurrence decides
		}
		r, err := s.readLayer(d)
		if err != nil {
			return "", err
		}
		needed = needed || len(st.layers) > 0 && len(r.Implied) > 0 || len(r.Links) > 0
		st.layers = append(st.layers, newStackLayer(r.Result, s.layerFS(d)))
	}
	if !needed {
		return "", nil
	}
	name := patchName(layers)
	if _, err := os.Lstat(s.patchDir(name)); err == nil {
		return name, nil
	}
	tmp, err := s.scratch()
	if err != nil {
		return "", err
	}
	defer tmp.drop()
	root := filepath.Join(tmp.dir, "fs")
	if err := os.Mkdir(root, 0o755); err != nil {
		return "", err
	}
	p := patch{stack: &st, root: root, made: make(map[string]bool), grafted: make(map[string]string), source: make(map[string]string)}
	if err := p.fill(ctx); err != nil {
		return "", err
	}
	if !p.used {
		return "", nil
	}
	err = os.Rename(tmp.dir, s.patchDir(name))
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return name, err
}

func patchName(layers []v1.Hash) string {
	h := sha256.New()
	for _, d := range layers {
		fmt.Fprintln(h, d)
	}
	return hex.EncodeToString(h.Sum(nil))
}

type patch struct {
	stack *stack
	root  string
	used  bool
	dirs  []string        // made, parents first
	made  map[string]bool // the same

	grafted map[string]string // directories that are links again, and where those lead (see graft.go)
	source  map[string]string // where a directory's attributes come from, when not from origin
}

// fill makes the patch. It ends early when ctx does: a layer can have millions of directories.
func (p *patch) fill(ctx context.Context) error {
	for i, l := range p.stack.layers {
		for _, link := range l.Links {
			if err := p.step(ctx, p.link(i, link)); err != nil {
				return err
			}
		}
		if i == 0 {
			continue
		}
		for _, dir := range l.Implied {
			if err := p.step(ctx, p.graft(ctx, i, dir)); err != nil {
				return err
			}
		}
	}
	for _, l := range p.stack.layers[min(1, len(p.stack.layers)):] {
		for _, dir := range l.Implied {
			if err := p.step(ctx, p.restore(dir)); err != nil {
				return err
			}
		}
	}
	// Links change the times of the directories that they are made in.
	for _, dir := range slices.Backward(p.dirs) {
		from := p.attributesOf(dir)
		if from == "" {
			continue
		}
		if err := p.step(ctx, p.attribute(from, dir)); err != nil {
			return err
		}
	}
	return nil
}

// step is err, or why ctx is over.
func (p *patch) step(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	return context.Cause(ctx)
}

// restore gives dir the attributes that it would have if the layers were applied in order, unless it shows
// them already.
func (p *patch) restore(dir string) error {
	if _, ok := p.grafted[dir]; ok || p.behindGraft(dir) {
		return nil // a link that the patch has, or behind one
	}
	seen := p.stack.visible(p.stack.top(), dir)
	if len(seen) == 0 {
		return nil
	}
	shown, origin := filepath.Join(p.stack.layers[seen[0]].fs, dir), p.stack.origin(dir)
	if shown == origin {
		return nil
	}
	same, err := sameAttributes(shown, origin)
	if err != nil || same {
		return err
	}
	return p.mkdir(dir)
}

// behindGraft says whether a parent of name is a link that the patch has. Nearly always there is none; an image can have many,
// or deep paths, so it takes the shorter way.
func (p *patch) behindGraft(name string) bool {
	if len(p.grafted) <= strings.Count(name, "/") {
		for dir := range p.grafted {
			if len(name) > len(dir) && name[len(dir)] == '/' && strings.HasPrefix(name, dir) {
				return true
			}
		}
		return false
	}
	for i := strings.LastIndexByte(name, '/'); i > 0; i = strings.LastIndexByte(name[:i], '/') {
		if _, ok := p.grafted[name[:i]]; ok {
			return true
		}
	}
	return false
}

// open opens a directory of the patch. The patch has links of the image in it, which mean nothing on this host: no
// name in it is ever followed.
func (p *patch) open(dir string) (int, error) {
	how := unix.OpenHow{Flags: unix.O_DIRECTORY | unix.O_RDONLY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	root, err := unix.Open(p.root, unix.O_DIRECTORY|unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(root)
	fd, err := unix.Openat2(root, dir, &how)
	for err == unix.EAGAIN || err == unix.EINTR {
		fd, err = unix.Openat2(root, dir, &how)
	}
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: "/" + dir, Err: err}
	}
	return fd, nil
}

// in calls fn with a descriptor of the directory that name is in, and its last element.
func (p *patch) in(name string, fn func(at int, base string) error) error {
	at, err := p.open(path.Dir(name))
	if err != nil {
		return err
	}
	defer unix.Close(at)
	return fn(at, path.Base(name))
}

// mkdir makes dir and its parents in the patch.
func (p *patch) mkdir(dir string) error {
	if dir == "." || p.made[dir] {
		return nil
	}
	if err := p.mkdir(path.Dir(dir)); err != nil {
		return err
	}
	err := p.in(dir, func(at int, base string) error { return unix.Mkdirat(at, base, 0o755) })
	if err != nil {
		return &os.PathError{Op: "mkdir", Path: "/" + dir, Err: err}
	}
	p.used = true
	p.dirs = append(p.dirs, dir)
	p.made[dir] = true
	return nil
}

// attribute gives dir of the patch the attributes of from.
func (p *patch) attribute(from, dir string) error {
	fd, err := p.open(dir)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return copyAttributes(from, fmt.Sprintf("/proc/self/fd/%d/.", fd))
}

// link makes hard link l of layer i, unless a layer above puts something else in its place.
func (p *patch) link(i int, l unpack.Link) error {
	from := p.stack.file(i-1, l.Target)
	if from == "" {
		return fmt.Errorf("%w: %q is a hard link to %q, which no layer below has", unpack.ErrInvalid, l.Path, l.Target)
	}
	if p.stack.shadowed(i, l.Path) {
		return nil
	}
	return p.hardLink(from, l.Path)
}

// visible lists the layers, topmost first, whose directory name is part of the merged directory name that the
// layers up to top show; empty when they show none.
func (st *stack) visible(top int, name string) []int {
	key := view{top, name}
	if seen, ok := st.views[key]; ok {
		return seen
	}
	var seen []int
	if name == "." {
		for i := top; i >= 0; i-- {
			seen = append(seen, i)
		}
	} else {
		seen = st.merged(st.visible(top, path.Dir(name)), name)
	}
	st.views[key] = seen
	return seen
}

// merged is visible for name, whose parent the layers of parent have.
func (st *stack) merged(parent []int, name string) (seen []int) {
	for _, i := range parent {
		// Every directory on the way is a real one of this layer, so the path leads through no link.
		kind, opaque := st.layers[i].look(name)
		if kind == missing {
			continue
		}
		if kind != directory {
			return seen
		}
		seen = append(seen, i)
		if opaque {
			return seen
		}
	}
	return seen
}

// origin is the path of the directory whose attributes the merged directory name should show: the topmost one that a
// layer speaks of, or the topmost one.
func (st *stack) origin(name string) string {
	seen := st.visible(st.top(), name)
	for _, i := range seen {
		if !st.layers[i].implied[name] {
			return filepath.Join(st.layers[i].fs, name)
		}
	}
	return filepath.Join(st.layers[seen[0]].fs, name)
}

// file is the path of what the layers up to top show at name, "" when that is nothing or a directory.
func (st *stack) file(top int, name string) string {
	for _, i := range st.visible(top, path.Dir(name)) {
		switch kind, _ := st.layers[i].look(name); kind {
		case other:
			return filepath.Join(st.layers[i].fs, name)
		case missing:
		default:
			return ""
		}
	}
	return ""
}

// shadowed says whether a layer above i decides what is at name.
func (st *stack) shadowed(i int, name string) bool {
	for _, l := range st.layers[i+1:] {
		if k, covers := l.find(name); covers || k != missing {
			return true
		}
	}
	return false
}

// finding is what a layer has at a name. covers means that it hides whatever lower layers have there: name or a
// directory on the way to it is something else, or opaque.
type finding struct {
	kind   kind
	covers bool
}

// find says what the layer has at name.
func (l *stackLayer) find(name string) (k kind, covers bool) {
	parent := l.way(path.Dir(name))
	switch parent.kind {
	case directory:
	case missing:
		return missing, parent.covers
	default:
		return missing, true
	}
	k, opaque := l.look(name)
	switch k {
	case missing:
		return missing, parent.covers
	case directory:
		return directory, parent.covers || opaque
	}
	return k, true
}

// way is find for a directory on the way to something.
func (l *stackLayer) way(dir string) finding {
	if dir == "." {
		return finding{kind: directory}
	}
	f, ok := l.ways[dir]
	if !ok {
		f.kind, f.covers = l.find(dir)
		l.ways[dir] = f
	}
	return f
}

type kind int

const (
	missing kind = iota
	directory
	whiteout
	other
)

// look says what the layer itself has at name; its parent must be a directory of the layer, reached through
// directories.
func (l *stackLayer) look(name string) (k kind, opaque bool) {
	full := filepath.Join(l.fs, name)
	var st unix.Stat_t
	if unix.Lstat(full, &st) != nil {
		return missing, false
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		var y [1]byte
		n, err := unix.Lgetxattr(full, "trusted.overlay.opaque", y[:])
		return directory, err == nil && n == 1 && y[0] == 'y'
	case unix.S_IFCHR:
		if st.Rdev == 0 {
			return whiteout, false
		}
	}
	return other, false
}

// sameAttributes compares owner, mode and xattrs; nobody looks at the times of a directory that was made up.
func sameAttributes(a, b string) (bool, error) {
	var x, y unix.Stat_t
	if err := errors.Join(unix.Lstat(a, &x), unix.Lstat(b, &y)); err != nil {
		return false, err
	}
	if x.Mode != y.Mode || x.Uid != y.Uid || x.Gid != y.Gid {
		return false, nil
	}
	xa, err := readXattrs(a)
	if err != nil {
		return false, err
	}
	ya, err := readXattrs(b)
	if err != nil || len(xa) != len(ya) {
		return false, err
	}
	for name, value := range xa {
		if string(ya[name]) != string(value) {
			return false, nil
		}
	}
	return true, nil
}
