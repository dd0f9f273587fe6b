package overlay

import (
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/image/unpack"
)

// Stack is the layers of one image as overlayfs will see them, lowest first. They do not change while it is in use: what it
// has found out of a directory it keeps, so that the next one below starts there and not at the root.
type Stack struct {
	Layers []*Layer
	views  map[view][]int
}

// Implies says whether the layer has the directory dir only because something is below it.
func (l *Layer) Implies(dir string) bool { return l.implied[dir] }

// NewStack lays layers on each other, lowest first.
func NewStack(layers []*Layer) *Stack {
	return &Stack{Layers: layers, views: make(map[view][]int)}
}

// view names what visible has an answer for.
type view struct {
	top  int
	name string
}

// Layer is the directory of one layer.
type Layer struct {
	unpack.Result
	FS      string
	implied map[string]bool    // Result.Implied
	ways    map[string]finding // of directories
}

// NewLayer is the layer in the directory fs, of which r is known.
func NewLayer(r unpack.Result, fs string) *Layer {
	l := &Layer{Result: r, FS: fs, implied: make(map[string]bool, len(r.Implied)), ways: make(map[string]finding)}
	for _, dir := range r.Implied {
		l.implied[dir] = true
	}
	return l
}

// Top is the index of the topmost layer.
func (st *Stack) Top() int { return len(st.Layers) - 1 }

// Visible lists the layers, topmost first, whose directory name is part of the merged directory name that the
// layers up to top show; empty when they show none.
func (st *Stack) Visible(top int, name string) []int {
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
		seen = st.merged(st.Visible(top, path.Dir(name)), name)
	}
	st.views[key] = seen
	return seen
}

// merged is visible for name, whose parent the layers of parent have.
func (st *Stack) merged(parent []int, name string) (seen []int) {
	for _, i := range parent {
		// Every directory on the way is a real one of this layer, so the path leads through no link.
		kind, opaque := st.Layers[i].Look(name)
		if kind == Missing {
			continue
		}
		if kind != Directory {
			return seen
		}
		seen = append(seen, i)
		if opaque {
			return seen
		}
	}
	return seen
}

// Origin is the path of the directory whose attributes the merged directory name should show: the topmost one that a
// layer speaks of, or the topmost one.
func (st *Stack) Origin(name string) string {
	seen := st.Visible(st.Top(), name)
	for _, i := range seen {
		if !st.Layers[i].Implies(name) {
			return filepath.Join(st.Layers[i].FS, name)
		}
	}
	return filepath.Join(st.Layers[seen[0]].FS, name)
}

// File is the path of what the layers up to top show at name, "" when that is nothing or a directory.
func (st *Stack) File(top int, name string) string {
	for _, i := range st.Visible(top, path.Dir(name)) {
		switch kind, _ := st.Layers[i].Look(name); kind {
		case Other:
			return filepath.Join(st.Layers[i].FS, name)
		case Missing:
		default:
			return ""
		}
	}
	return ""
}

// Shadowed says whether a layer above i decides what is at name.
func (st *Stack) Shadowed(i int, name string) bool {
	for _, l := range st.Layers[i+1:] {
		if k, covers := l.Find(name); covers || k != Missing {
			return true
		}
	}
	return false
}

// finding is what a layer has at a name. covers means that it hides whatever lower layers have there: name or a
// directory on the way to it is something else, or opaque.
type finding struct {
	kind   Kind
	covers bool
}

// Find says what the layer has at name.
func (l *Layer) Find(name string) (k Kind, covers bool) {
	parent := l.way(path.Dir(name))
	switch parent.kind {
	case Directory:
	case Missing:
		return Missing, parent.covers
	default:
		return Missing, true
	}
	k, opaque := l.Look(name)
	switch k {
	case Missing:
		return Missing, parent.covers
	case Directory:
		return Directory, parent.covers || opaque
	}
	return k, true
}

// way is find for a directory on the way to something.
func (l *Layer) way(dir string) finding {
	if dir == "." {
		return finding{kind: Directory}
	}
	f, ok := l.ways[dir]
	if !ok {
		f.kind, f.covers = l.Find(dir)
		l.ways[dir] = f
	}
	return f
}

// Kind is what a layer has at a name.
type Kind int

const (
	Missing   Kind = iota // nothing: what is below shows
	Directory             // which lies on those below, unless it is opaque
	Whiteout              // nothing, and nothing below shows
	Other                 // a file, a link, a device: nothing below shows
)

// Look says what the layer itself has at name; its parent must be a directory of the layer, reached through
// directories.
func (l *Layer) Look(name string) (k Kind, opaque bool) {
	full := filepath.Join(l.FS, name)
	var st unix.Stat_t
	if unix.Lstat(full, &st) != nil {
		return Missing, false
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return Directory, IsOpaque(full)
	case unix.S_IFCHR:
		if IsWhiteout(&st) {
			return Whiteout, false
		}
	}
	return Other, false
}

// Follow returns where name leads in what the layers up to top show, as a path without links, also when there is
// nothing yet. ok is false when it leads in circles or through a file.
func (st *Stack) Follow(top int, name string) (string, bool) {
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
		file := st.File(top, next)
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
