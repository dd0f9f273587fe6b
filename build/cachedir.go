package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/build/rootfs"
	"github.com/stackrun/stack/internal/objectid"
)

// A cache mount is a directory that outlives its build: <state>/build/mounts/<hash of its id>, with a number behind it where several have one of their own.
// Its times say when it was last of use.

// cacheDir gives the directory of p, and what is to be called when its command has ended.
func (w *worker) cacheDir(ctx context.Context, p mountPlan) (dir string, done func(), err error) {
	sum := sha256.Sum256([]byte(p.CacheID))
	name := hex.EncodeToString(sum[:16])
	done = func() {}
	switch p.CacheSharing {
	case instructions.MountSharingLocked:
		if done, err = w.b.busy.Lock(ctx, "mount "+name); err != nil {
			return "", nil, err
		}
	case instructions.MountSharingPrivate:
		name, done = w.b.private(name)
	}
	dir = filepath.Join(w.b.dir, "mounts", name)
	if err := w.makeCacheDir(ctx, dir, p); err != nil {
		done()
		return "", nil, fmt.Errorf("cannot make the directory of cache %q: %w", p.CacheID, err)
	}
	return dir, done, nil
}

// private gives a name that nobody else has at the moment.
func (b *Builder) private(name string) (string, func()) {
	b.privateMu.Lock()
	defer b.privateMu.Unlock()
	for n := 0; ; n++ {
		own := name
		if n > 0 {
			own += "." + strconv.Itoa(n)
		}
		if b.inUse[own] {
			continue
		}
		b.inUse[own] = true
		return own, func() {
			b.privateMu.Lock()
			defer b.privateMu.Unlock()
			delete(b.inUse, own)
		}
	}
}

// makeCacheDir makes dir, with what it begins with, in one step. One that is there stays as it is.
func (w *worker) makeCacheDir(ctx context.Context, dir string, p mountPlan) error {
	unlock, err := w.b.busy.Lock(ctx, "make "+dir)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Lstat(dir); err == nil {
		now := time.Now()
		return os.Chtimes(dir, now, now)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	tmp, err := w.b.tempDir()
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if len(p.layers) > 0 {
		if err := w.fill(ctx, tmp, p); err != nil {
			return err
		}
	}
	uid, gid, mode := 0, 0, uint32(0o755)
	if p.UID != nil {
		uid = int(*p.UID)
	}
	if p.GID != nil {
		gid = int(*p.GID)
	}
	if p.Mode != nil {
		mode = uint32(*p.Mode) & 0o7777
	}
	if err := os.Chown(tmp, uid, gid); err != nil {
		return err
	}
	if err := unix.Chmod(tmp, mode); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

// fill copies what p's layers have at its subpath into dir.
func (w *worker) fill(ctx context.Context, dir string, p mountPlan) error {
	view := keyPrefix + objectid.New()
	mounts, err := w.prepare(ctx, view, nil, p.layers)
	if err != nil {
		return err
	}
	defer func() { _ = w.b.opt.Images.Remove(context.WithoutCancel(ctx), view) }() // swept later if not now
	root, err := rootfs.Mount(mounts[1])
	if err != nil {
		return err
	}
	src := &tree{name: p.From, root: root, private: true}
	defer src.close()
	list, err := src.match("/" + p.subpath)
	if err != nil {
		return err
	}
	files, err := src.collect(ctx, list[0].canonical, ignore{})
	if err != nil {
		return err
	}
	to, err := rootfs.Open(dir)
	if err != nil {
		return err
	}
	defer to.Close()
	out := &writer{root: to}
	if err := out.put(ctx, src, files, list[0].named, "/", true); err != nil {
		return err
	}
	return out.finish()
}
