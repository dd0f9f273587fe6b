package tree

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/stackrun/stack/cmd/stack/watch/rule"
)

// pass compares the index with what is there, and makes it the same. Precondition of all its methods: the tree's index is locked.
type pass struct {
	t       *Tree
	looks   map[string]look
	changes map[string]rule.Change // nil: nobody wants them
}

// root looks at a root, and at the directory that it will be in if it is not there.
func (p *pass) root(root string) {
	for {
		above := nearest(root)
		if !p.t.watch(above) {
			p.t.polls[root] = true
			break
		}
		if nearest(root) == above { // else something came between the look and the watch
			break
		}
	}
	p.t.tops[root] = p.visit(root, p.t.tops[root], false)
}

// path looks at a path of a root.
func (p *pass) path(path string) {
	for _, root := range p.t.roots {
		if path == root {
			p.root(root)
			return
		}
		if !within(root, path) {
			continue
		}
		in := p.t.find(filepath.Dir(path))
		if in == nil || in.kind != dir {
			return // not looked at, or not there: whoever makes it is told of by name
		}
		name := filepath.Base(path)
		if n := p.visit(path, in.kids[name], in.polled); n != nil {
			in.kids[name] = n
		} else {
			delete(in.kids, name)
		}
		return
	}
}

// visit looks at path, of which the index has have, with all that is below it.
func (p *pass) visit(path string, have *node, polled bool) *node {
	info, err := os.Lstat(path)
	if err != nil {
		return p.gone(path, have) // what cannot be looked at is not there
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		if p.t.filter.Within(path) {
			return p.dir(path, have, polled)
		}
	case 0:
		if p.t.filter.Matches(path) {
			return p.file(path, info, have)
		}
	case fs.ModeSymlink:
		if p.t.filter.Matches(path) {
			return p.link(path, have)
		}
	}
	return p.gone(path, have)
}

func (p *pass) dir(path string, have *node, polled bool) *node {
	n := have
	if n == nil || n.kind != dir {
		p.gone(path, have)
		n = &node{kind: dir, kids: map[string]*node{}}
		p.changed(path, true)
	}
	n.polled = polled
	if !polled && !p.t.watch(path) {
		n.polled = true
		p.t.polls[path] = true
	}
	entries, err := os.ReadDir(path)
	if err != nil && isGone(err) {
		return p.gone(path, n)
	}
	if err != nil && n != have {
		p.t.say("cannot look into " + path + ": " + err.Error())
	}
	there := make(map[string]bool, len(entries))
	for _, e := range entries {
		there[e.Name()] = true
	}
	// First what has gone: a directory that was moved is not to be watched by its old name when it is come by under its new one.
	for name, kid := range n.kids {
		if !there[name] {
			p.gone(filepath.Join(path, name), kid)
			delete(n.kids, name)
		}
	}
	for name := range there {
		if kid := p.visit(filepath.Join(path, name), n.kids[name], n.polled); kid != nil {
			n.kids[name] = kid
		} else {
			delete(n.kids, name)
		}
	}
	return n
}

func (p *pass) file(path string, info fs.FileInfo, have *node) *node {
	if have != nil && have.kind == file && !p.looks[path].content && have.fresh(stampOf(info)) {
		return have
	}
	n := &node{kind: file, read: time.Now()}
	var err error
	if n.sum, n.stamp, err = sumOf(path); err != nil {
		if isGone(err) {
			return p.gone(path, have)
		}
		n.sum, n.stamp = Sum{}, stampOf(info) // it cannot be read: its times have to do
	}
	if have == nil || have.kind != file {
		p.gone(path, have)
		p.changed(path, false)
	} else if n.sum != have.sum || n.sum == (Sum{}) && !n.stamp.alike(have.stamp) {
		p.changed(path, false)
	}
	return n
}

func (p *pass) link(path string, have *node) *node {
	to, err := os.Readlink(path)
	if err != nil {
		return p.gone(path, have)
	}
	if have != nil && have.kind == link && have.to == to {
		return have
	}
	p.gone(path, have)
	p.changed(path, false)
	return &node{kind: link, to: to}
}

// gone takes have, which was at path, out of the index, and returns nil.
func (p *pass) gone(path string, have *node) *node {
	if have == nil {
		return nil
	}
	for name, kid := range have.kids {
		p.gone(filepath.Join(path, name), kid)
	}
	if have.kind == dir {
		if !slices.Contains(p.t.roots, path) {
			delete(p.t.polls, path)
		}
		if p.t.notifier != nil {
			p.t.notifier.Remove(path) //nolint:errcheck // not watched: the kernel was faster
		}
	}
	if p.changes != nil {
		p.changes[path] = rule.Change{Path: path, Gone: true, Dir: have.kind == dir}
	}
	return nil
}

// changed notes a path that is new, or has another content.
func (p *pass) changed(path string, isDir bool) {
	if p.changes != nil {
		p.changes[path] = rule.Change{Path: path, Dir: isDir}
	}
}
