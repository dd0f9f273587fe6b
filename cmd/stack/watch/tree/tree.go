package tree

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/stackrun/stack/cmd/stack/watch/rule"
)

// Filter says what of a tree is of interest. rule.Rules is one.
type Filter interface {
	Matches(path string) bool // a file, or a directory for its own sake
	Within(dir string) bool   // something below dir may be
}

// Options of Open; zero values are sensible.
type Options struct {
	Quiet time.Duration     // a batch ends when nothing has happened for so long (50 ms)
	Most  time.Duration     // or when it has been open for so long (1 s)
	Poll  time.Duration     // how often at most is looked at what nobody tells of (1 s)
	Say   func(text string) // that something is not watched as it should be; nil = nobody is told
}

// Tree watches some files and directories.
type Tree struct {
	roots     []string
	filter    Filter
	options   Options
	say       func(string)
	notifier  notifier
	blind     error // why nothing is told
	told      bool
	collected chan struct{} // closed when no event comes any more

	mu     sync.Mutex // below: from who collects events
	window window
	looks  map[string]look
	all    bool
	wake   chan struct{} // of capacity 1

	index sync.Mutex       // below: files are looked at
	tops  map[string]*node // by root; nil = there is nothing
	polls map[string]bool  // directories that are polled with all below them, and roots
	next  time.Time        // when
}

// look says what to look for at a path.
type look struct {
	content bool // it has been written to, or has come, or gone: its times are not to be trusted
	moved   bool // it has been moved away
	all     bool // anything may have happened, anywhere
}

// Open begins to watch roots, absolute paths without symbolic links of which none is below another one, and reads what is there. It is the
// state that the first changes are changes of. A root need not exist.
func Open(roots []string, f Filter, o Options) *Tree {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		t := open(roots, f, o, nil, err)
		t.first()
		return t
	}
	t := open(roots, f, o, w, nil)
	go t.collect(w)
	t.first()
	return t
}

func open(roots []string, f Filter, o Options, n notifier, blind error) *Tree {
	if o.Quiet == 0 {
		o.Quiet = 50 * time.Millisecond
	}
	if o.Most == 0 {
		o.Most = time.Second
	}
	if o.Poll == 0 {
		o.Poll = time.Second
	}
	t := &Tree{
		roots: roots, filter: f, options: o, say: o.Say, notifier: n, blind: blind, collected: make(chan struct{}),
		window: window{quiet: o.Quiet, most: o.Most}, looks: map[string]look{}, wake: make(chan struct{}, 1), tops: map[string]*node{}, polls: map[string]bool{},
	}
	if t.say == nil {
		t.say = func(string) {}
	}
	return t
}

// first reads everything.
func (t *Tree) first() {
	p := pass{t: t}
	t.index.Lock()
	defer t.index.Unlock()
	for _, root := range t.roots {
		p.root(root)
	}
	t.next = time.Now().Add(t.options.Poll)
}

// Close ends the watching. A Next under way ends with its context.
func (t *Tree) Close() {
	if t.notifier != nil {
		t.notifier.Close() //nolint:errcheck // nothing is left to be done about it
		<-t.collected
	}
}

// note notes that path is to be looked at.
func (t *Tree) note(path string, l look) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.all {
		t.all = true
	} else {
		have := t.looks[path]
		t.looks[path] = look{content: have.content || l.content, moved: have.moved || l.moved}
	}
	t.window.event(time.Now())
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// Next waits for changes and returns those of a batch, sorted, each path once. Not safe for concurrent use. Its error is ctx's.
func (t *Tree) Next(ctx context.Context) ([]rule.Change, error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := time.Now()
		at, polls := t.due()
		if !at.IsZero() && !now.Before(at) {
			if changes := t.pass(polls); len(changes) > 0 {
				return changes, nil
			}
			continue
		}
		timer.Stop()
		var after <-chan time.Time
		if !at.IsZero() {
			timer.Reset(at.Sub(now))
			after = timer.C
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-after:
		case <-t.wake:
		}
	}
}

// due is when to look again, zero for not until something happens, and whether it will be for what is polled.
func (t *Tree) due() (at time.Time, polls bool) {
	t.index.Lock()
	if len(t.polls) > 0 {
		at, polls = t.next, true
	}
	t.index.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.window.open() && (at.IsZero() || t.window.due().Before(at)) {
		return t.window.due(), false
	}
	return at, polls
}

// pass looks at what is noted, and at what is polled, and returns how it differs from the index.
func (t *Tree) pass(polls bool) []rule.Change {
	t.mu.Lock()
	looks, all := t.looks, t.all
	t.looks, t.all = map[string]look{}, false
	t.window.clear()
	t.mu.Unlock()

	t.index.Lock()
	defer t.index.Unlock()
	p := pass{t: t, looks: looks, changes: map[string]rule.Change{}}
	if polls {
		began := time.Now()
		for path := range t.polls {
			p.path(path)
		}
		// A twentieth of one processor is the most that it takes.
		t.next = time.Now().Add(max(t.options.Poll, 20*time.Since(began)))
	}
	for path, l := range looks {
		if n := t.find(path); l.moved && n != nil && n.kind == dir {
			// Directories that were in it are watched under their old names; the watcher knows them by these. What follows ends that, and
			// they are watched anew.
			all = true
		}
	}
	for _, path := range slices.Sorted(func(yield func(string) bool) {
		for path := range looks {
			if !yield(path) {
				return
			}
		}
	}) {
		p.path(path)
	}
	if all {
		for _, root := range t.roots {
			p.root(root)
		}
	}
	changes := make([]rule.Change, 0, len(p.changes))
	for _, c := range p.changes {
		changes = append(changes, c)
	}
	slices.SortFunc(changes, func(a, b rule.Change) int { return strings.Compare(a.Path, b.Path) })
	return changes
}

// find is what the index has of path.
func (t *Tree) find(path string) *node {
	for _, root := range t.roots {
		if !within(root, path) {
			continue
		}
		n := t.tops[root]
		rel, _ := filepath.Rel(root, path)
		if rel == "." {
			return n
		}
		for part := range strings.SplitSeq(rel, "/") {
			if n == nil {
				return nil
			}
			n = n.kids[part]
		}
		return n
	}
	return nil
}

// File is a file or a symbolic link of the tree, or a directory.
type File struct {
	Path string
	Sum  Sum // zero: not known
	Size int64
	Time time.Time // of the last change of the content
	Link string    // what a link says
	Dir  bool
}

// Files are everything in the index that the filter matches, sorted.
func (t *Tree) Files() []File {
	t.index.Lock()
	defer t.index.Unlock()
	var all []File
	var walk func(path string, n *node)
	walk = func(path string, n *node) {
		if n == nil {
			return
		}
		if t.filter.Matches(path) {
			all = append(all, n.as(path))
		}
		for name, kid := range n.kids {
			walk(filepath.Join(path, name), kid)
		}
	}
	for _, root := range t.roots {
		walk(root, t.tops[root])
	}
	slices.SortFunc(all, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return all
}

// File is what the index has of path.
func (t *Tree) File(path string) (File, bool) {
	t.index.Lock()
	defer t.index.Unlock()
	n := t.find(path)
	if n == nil {
		return File{}, false
	}
	return n.as(path), true
}

func (n *node) as(path string) File {
	return File{Path: path, Sum: n.sum, Size: n.stamp.size, Time: time.Unix(0, n.stamp.mtime), Link: n.to, Dir: n.kind == dir}
}

// within says whether path is dir or below it.
func within(dir, path string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// nearest is the closest directory above path that is there.
func nearest(path string) string {
	for {
		path = filepath.Dir(path)
		if info, err := os.Lstat(path); path == "/" || err == nil && info.Mode().Type() == fs.ModeDir {
			return path
		}
	}
}
