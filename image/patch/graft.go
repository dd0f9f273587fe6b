package patch

import (
	"context"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/image/overlay"
)

// A layer that brings var/run/x, without an entry for var/run, on top of one in which var/run is a link to /run means
// run/x. Unpacked by itself it has a directory var/run, which would hide the link and everything behind it. The patch
// puts the link back and what the layer has below var/run where the link leads.
//
// This is what containerd does, which unpacks each layer through a mount of those below; docker's overlay2, which
// unpacks them apart as we do, lets the directory hide the link. An explicit entry for the directory replaces
// the link, here as there.

// graft handles dir, a directory that layer i implies. It does nothing when no layer below has a link there.
func (p *patch) graft(ctx context.Context, i int, dir string) error {
	if p.behindGraft(dir) {
		return nil // moved together with its parent
	}
	if to, ok := p.grafted[dir]; ok {
		return p.move(ctx, i, dir, to) // a layer below has been here
	}
	link := p.stack.File(i-1, dir)
	if target, err := os.Readlink(link); link == "" || err != nil || target == "" {
		return nil
	}
	// A layer above that speaks of the name itself has the last word.
	for _, above := range p.stack.Layers[i+1:] {
		if k, covers := above.Find(dir); covers || k != overlay.Missing && !above.Implies(dir) {
			return nil
		}
	}
	to, ok := p.stack.Follow(i-1, dir)
	if !ok {
		return nil // it leads nowhere: the directory is all there is
	}
	if err := p.move(ctx, i, dir, to); err != nil {
		return err
	}
	p.grafted[dir] = to
	return p.hardLink(link, dir)
}

// move puts what layer i has below from into the patch below to.
func (p *patch) move(ctx context.Context, i int, from, to string) error {
	l := p.stack.Layers[i]
	entries, err := os.ReadDir(filepath.Join(l.FS, from))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		src, dst := path.Join(from, e.Name()), path.Join(to, e.Name())
		if !e.IsDir() {
			if p.stack.Shadowed(i, dst) {
				continue
			}
			if err := p.hardLink(filepath.Join(l.FS, src), dst); err != nil {
				return err
			}
			continue
		}
		if err := p.mkdir(dst); err != nil {
			return err
		}
		if !l.Implies(src) || len(p.stack.Visible(p.stack.Top(), dst)) == 0 {
			p.source[dst] = filepath.Join(l.FS, src)
		}
		if _, opaque := l.Look(src); opaque {
			if err := p.setOpaque(dst); err != nil {
				return err
			}
		}
		if err := p.move(ctx, i, src, dst); err != nil {
			return err
		}
	}
	return nil
}

func (p *patch) setOpaque(dir string) error {
	fd, err := p.open(dir)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fsetxattr(fd, "trusted.overlay.opaque", []byte("y"), 0)
}

// hardLink makes name in the patch another name of the file from, a whiteout or a symbolic link included.
func (p *patch) hardLink(from, name string) error {
	if err := p.mkdir(path.Dir(name)); err != nil {
		return err
	}
	p.used = true
	err := p.in(name, func(at int, base string) error {
		err := unix.Unlinkat(at, base, 0)
		if err != nil && err != unix.ENOENT {
			return err
		}
		// link(2) does not follow from.
		return unix.Linkat(unix.AT_FDCWD, from, at, base, 0)
	})
	if err != nil {
		return &os.LinkError{Op: "link", Old: from, New: "/" + name, Err: err}
	}
	return nil
}

// attributesOf is where a directory of the patch takes its attributes from; "" when nothing speaks of it.
func (p *patch) attributesOf(dir string) string {
	if src := p.source[dir]; src != "" {
		return src
	}
	if len(p.stack.Visible(p.stack.Top(), dir)) == 0 {
		return ""
	}
	return p.stack.Origin(dir)
}
