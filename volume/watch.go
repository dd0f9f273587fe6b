package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/watch"
)

// What comes and goes in the root and in a volume's own directory. What containers write is below that, in _data, and not watched.
const (
	rootEvents   = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
	volumeEvents = rootEvents | unix.IN_CLOSE_WRITE
)

// Watch delivers a coalesced hint when a volume may have been changed by other hands, and by Create and Delete too: the receiver looks at
// List. The channel is closed when ctx ends, or when the kernel lets no more be watched: then Watch again says why.
func (d *Driver) Watch(ctx context.Context) (<-chan struct{}, error) {
	files, err := watch.OpenFiles()
	if err != nil {
		return nil, fmt.Errorf("cannot watch the volumes: %w", err)
	}
	w := &watcher{d: d, files: files}
	if err := w.arm(); err != nil {
		files.Close()
		return nil, fmt.Errorf("cannot watch the volumes: %w", err)
	}
	ch := w.hints.Subscribe(ctx)
	stop := context.AfterFunc(ctx, func() { files.Close() })
	go func() {
		defer stop()
		defer w.hints.Close()
		defer files.Close()
		for files.Wait() == nil && w.changed() == nil {
		}
	}()
	return ch, nil
}

// watcher is one receiver's view of the directories.
type watcher struct {
	d     *Driver
	files *watch.Files
	hints watch.Hub
}

// arm watches the root, made again when it is gone, and every volume in it.
func (w *watcher) arm() error {
	for {
		err := w.armOnce()
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		// The root went away under its watch, which must not be taken for one of the root that is made now.
		w.files.Remove(w.d.root)
	}
}

// armOnce fails with fs.ErrNotExist when the root is removed meanwhile.
func (w *watcher) armOnce() error {
	if !w.files.Watches(w.d.root) {
		if err := os.MkdirAll(w.d.root, 0o700); err != nil {
			return err
		}
		if err := w.files.Add(w.d.root, rootEvents); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(w.d.root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		// Not those that are being made or removed: the root tells of their new names.
		if dir := filepath.Join(w.d.root, e.Name()); checkName(e.Name()) == nil && !w.files.Watches(dir) {
			if err := w.files.Add(dir, volumeEvents); err != nil && !errors.Is(err, fs.ErrNotExist) { // gone again: the root tells
				return err
			}
		}
	}
	return nil
}

func (w *watcher) changed() error {
	var moved []string
	again := false
	w.files.Drain(func(e watch.FileEvent) {
		switch {
		case e.Path == "": // of a volume that was renamed
		case e.Mask&unix.IN_MOVE_SELF != 0:
			moved = append(moved, e.Path)
		}
		again = again || e.Overflow || e.Path == w.d.root
	})
	for _, path := range moved { // what is there under this name now is another directory
		w.files.Remove(path)
		again = true
	}
	var err error
	if again {
		// What happens to a new volume before it is watched needs no hint of its own: the receiver looks after this.
		err = w.arm()
	}
	w.hints.Give()
	return err
}
