package image

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
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
	link := p.stack.file(i-1, dir)
	if target, err := os.Readlink(link); link == "" || err != nil || target == "" {
		return nil
	}
	// A layer above that speaks of the name itself has the last word.
	for _, above := range p.stack.layers[i+1:] {
		if k, covers := above.find(dir); covers || k != missing && !above.implied[dir] {
			return nil
		}
	}
	to, ok := p.stack.follow(i-1, dir)
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
	l := p.stack.layers[i]
	entries, err := os.ReadDir(filepath.Join(l.fs, from))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		src, dst := path.Join(from, e.Name()), path.Join(to, e.Name())
		if !e.IsDir() {
			if p.stack.shadowed(i, dst) {
				continue
			}
			if err := p.hardLink(filepath.Join(l.fs, src), dst); err != nil {
				return err
			}
			continue
		}
		if err := p.mkdir(dst); err != nil {
			return err
		}
		if !l.implied[src] || len(p.stack.visible(p.stack.top(), dst)) == 0 {
			p.source[dst] = filepath.Join(l.fs, src)
		}
		if _, opaque := l.look(src); opaque {
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

// follow returns where name leads in what the layers up to top show, as a path without links, also when there is
// nothing yet. ok is false when it leads in circles or through a file.
func (st *stack) follow(top int, name string) (string, bool) {
	at, rest := ".", strings.Split(name, "/")
	for hops := 0; len(rest) > 0; {
		elem := rest[0]
		rest = rest[1:]
		switch elem {
		case "", ".":
			continue
		case "..":
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, elem)
		file := st.file(top, next)
		if file == "" {
			at = next // a directory, or nothing
			continue
		}
		target, err := os.Readlink(file)
		// As many as path_resolution(7) allows.
		if hops++; err != nil || hops > 40 {
			return "", false
		}
		if path.IsAbs(target) {
			at = "."
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return at, at != "."
}

// attributesOf is where a directory of the patch takes its attributes from; "" when nothing speaks of it.
func (p *patch) attributesOf(dir string) string {
	if src := p.source[dir]; src != "" {
		return src
	}
	if len(p.stack.visible(p.stack.top(), dir)) == 0 {
		return ""
	}
	return p.stack.origin(dir)
}
