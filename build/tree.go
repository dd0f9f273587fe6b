package build

import (
	"context"
	"encoding/binary"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/build/rootfs"
)

// tree is what a COPY, an ADD or a mount takes files from: a context, or what a stage or an image has.
type tree struct {
	name    string // what messages call it
	root    *rootfs.Root
	ignore  ignore
	context bool    // owners of its files are nobody's in the image, and it has no business with devices
	private bool    // nobody else can change it
	hashes  *hashes // nil = content is hashed each time
}

func (t *tree) close() {
	if t != nil && t.root != nil {
		t.root.Close()
	}
}

// entry is a file of a tree that is taken.
type entry struct {
	name   string // canonical, in the tree
	rel    string // relative to what is copied; "" = that itself
	st     unix.Stat_t
	target string // of a link
	xattrs map[string][]byte
	sum    [32]byte // of a regular file
}

func (e *entry) kind() uint32 { return e.st.Mode & unix.S_IFMT }

// collect lists what there is at canonical and below, without what ignore and exclude leave out, with the sums of the content.
func (t *tree) collect(ctx context.Context, canonical string, exclude ignore) ([]*entry, error) {
	st := unix.Stat_t{Mode: unix.S_IFDIR | 0o755}
	if canonical != "." {
		var err error
		if st, err = t.root.Lstat(canonical); err != nil {
			return nil, err
		}
	}
	list := []*entry{{name: canonical, st: st}}
	ignored, excluded := t.ignore.walk(), exclude.walk()
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		dropped := map[string]bool{} // directories that are there only for what is in them
		err := t.root.Walk(canonical, func(rel string, st *unix.Stat_t) (bool, error) {
			if err := ctx.Err(); err != nil {
				return false, context.Cause(ctx)
			}
			name := path.Join(canonical, rel)
			drop, err := ignored.drops(name)
			if err != nil {
				return false, err
			}
			drop2, err := excluded.drops(rel)
			if err != nil {
				return false, err
			}
			if st.Mode&unix.S_IFMT == unix.S_IFSOCK {
				return false, nil // of a program that runs; no image can have it
			}
			isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
			if drop || drop2 {
				if !isDir || drop && ignored.whole() || drop2 && excluded.whole() {
					return false, nil
				}
				dropped[rel] = true
			}
			list = append(list, &entry{name: name, rel: rel, st: *st})
			return true, nil
		})
		if err != nil {
			return nil, err
		}
		if len(dropped) > 0 {
			list = withoutEmpty(list, dropped)
		}
	}
	return list, t.read(ctx, list)
}

// list is collect of everything, for what is copied at once: without the sums.
func (t *tree) list(ctx context.Context) ([]*entry, error) {
	list := []*entry{{name: ".", st: unix.Stat_t{Mode: unix.S_IFDIR | 0o755}}}
	err := t.root.Walk(".", func(rel string, st *unix.Stat_t) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, context.Cause(ctx)
		}
		e := &entry{name: rel, rel: rel, st: *st}
		var err error
		switch e.kind() {
		case unix.S_IFLNK:
			e.target, err = t.root.Readlink(rel)
		case unix.S_IFREG, unix.S_IFDIR:
			e.xattrs, err = t.root.Xattrs(rel, keepXattr)
		}
		list = append(list, e)
		return true, err
	})
	return list, err
}

// withoutEmpty leaves out the directories of dropped that have nothing in them.
func withoutEmpty(list []*entry, dropped map[string]bool) []*entry {
	used := map[string]bool{}
	for _, e := range slices.Backward(list) {
		if !dropped[e.rel] || used[e.rel] {
			for dir := path.Dir(e.rel); dir != "." && !used[dir]; dir = path.Dir(dir) {
				used[dir] = true
			}
		}
	}
	return slices.DeleteFunc(list, func(e *entry) bool { return dropped[e.rel] && !used[e.rel] })
}

// read fills in what an entry has besides its inode's own words.
func (t *tree) read(ctx context.Context, list []*entry) error {
	var files []*entry
	for _, e := range list {
		switch e.kind() {
		case unix.S_IFLNK:
			target, err := t.root.Readlink(e.name)
			if err != nil {
				return err
			}
			e.target = target
		case unix.S_IFREG:
			if !t.hashes.known(e) {
				files = append(files, e)
			}
		case unix.S_IFCHR, unix.S_IFBLK:
			if t.context {
				return fmt.Errorf("/%s is a device, which is not taken from %s: leave it out by .dockerignore", e.name, t.name)
			}
		}
		if k := e.kind(); k == unix.S_IFREG || k == unix.S_IFDIR {
			if t.context {
				continue
			}
			var err error
			if e.xattrs, err = t.root.Xattrs(e.name, keepXattr); err != nil {
				return err
			}
		}
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, e := range files {
		if gctx.Err() != nil {
			break
		}
		group.Go(func() error { return t.hash(gctx, e) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// keepXattr leaves out what overlayfs says of one layer, and labels of the host.
func keepXattr(name string) bool {
	return name != "security.selinux" && !strings.HasPrefix(name, "trusted.overlay.") && !strings.HasPrefix(name, "user.overlay.")
}

// addTo puts what e means for an image into k: its place, and all that the copy will have but the time.
func (t *tree) addTo(k key, e *entry) {
	var b [8 * 5]byte
	binary.BigEndian.PutUint64(b[:], uint64(e.st.Mode))
	if !t.context {
		binary.BigEndian.PutUint64(b[8:], uint64(e.st.Uid))
		binary.BigEndian.PutUint64(b[16:], uint64(e.st.Gid))
	}
	switch e.kind() {
	case unix.S_IFREG:
		binary.BigEndian.PutUint64(b[24:], uint64(e.st.Size))
	case unix.S_IFCHR, unix.S_IFBLK:
		binary.BigEndian.PutUint64(b[32:], e.st.Rdev)
	}
	k.add(e.rel, string(b[:]), e.target, string(e.sum[:]))
	if len(e.xattrs) > 0 {
		m := make(map[string]string, len(e.xattrs))
		for name, value := range e.xattrs {
			m[name] = string(value)
		}
		k.table(m)
	}
}
