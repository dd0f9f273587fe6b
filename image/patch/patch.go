package patch

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

	"github.com/stackrun/stack/image/layer"
	"github.com/stackrun/stack/image/overlay"
	"github.com/stackrun/stack/image/storage"
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

// Store keeps the patches.
type Store struct {
	dir    *storage.Dir
	layers *layer.Store
}

// Open makes their directory; they are of what layers has.
func Open(dir *storage.Dir, layers *layer.Store) (*Store, error) {
	return &Store{dir: dir, layers: layers}, dir.Make("patches")
}

// Dir is the directory of the patch name.
func (s *Store) Dir(name string) string { return s.dir.Path("patches", name) }

// Dirs are the directories of all patches that are there.
func (s *Store) Dirs() ([]string, error) { return filepath.Glob(s.dir.Path("patches", "*")) }

// FS is what overlayfs mounts of it.
func (s *Store) FS(name string) string { return filepath.Join(s.Dir(name), "fs") }

// Ensure makes the patch that layers need and returns its name, "" when they need none.
func (s *Store) Ensure(ctx context.Context, layers []v1.Hash) (string, error) {
	var list []*overlay.Layer
	needed := false
	for i, d := range layers {
		if slices.Contains(layers[i+1:], d) {
			continue // as in lower: its upper occurrence decides
		}
		r, err := s.layers.Read(d)
		if err != nil {
			return "", err
		}
		needed = needed || len(list) > 0 && len(r.Implied) > 0 || len(r.Links) > 0
		list = append(list, overlay.NewLayer(r.Result, s.layers.FS(d)))
	}
	if !needed {
		return "", nil
	}
	name := patchName(layers)
	if _, err := os.Lstat(s.Dir(name)); err == nil {
		return name, nil
	}
	tmp, err := s.dir.Scratch()
	if err != nil {
		return "", err
	}
	defer tmp.Drop()
	root := filepath.Join(tmp.Dir, "fs")
	if err := os.Mkdir(root, 0o755); err != nil {
		return "", err
	}
	p := patch{stack: overlay.NewStack(list), root: root, made: make(map[string]bool), grafted: make(map[string]string), source: make(map[string]string)}
	if err := p.fill(ctx); err != nil {
		return "", err
	}
	if !p.used {
		return "", nil
	}
	err = os.Rename(tmp.Dir, s.Dir(name))
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
	stack *overlay.Stack
	root  string
	used  bool
	dirs  []string        // made, parents first
	made  map[string]bool // the same

	grafted map[string]string // directories that are links again, and where those lead (see graft.go)
	source  map[string]string // where a directory's attributes come from, when not from origin
}

// fill makes the patch. It ends early when ctx does: a layer can have millions of directories.
func (p *patch) fill(ctx context.Context) error {
	for i, l := range p.stack.Layers {
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
	for _, l := range p.stack.Layers[min(1, len(p.stack.Layers)):] {
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
	seen := p.stack.Visible(p.stack.Top(), dir)
	if len(seen) == 0 {
		return nil
	}
	shown, origin := filepath.Join(p.stack.Layers[seen[0]].FS, dir), p.stack.Origin(dir)
	if shown == origin {
		return nil
	}
	same, err := overlay.SameAttributes(shown, origin)
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
	return overlay.CopyAttributes(from, fmt.Sprintf("/proc/self/fd/%d/.", fd))
}

// link makes hard link l of layer i, unless a layer above puts something else in its place.
func (p *patch) link(i int, l unpack.Link) error {
	from := p.stack.File(i-1, l.Target)
	if from == "" {
		return fmt.Errorf("%w: %q is a hard link to %q, which no layer below has", unpack.ErrInvalid, l.Path, l.Target)
	}
	if p.stack.Shadowed(i, l.Path) {
		return nil
	}
	return p.hardLink(from, l.Path)
}
