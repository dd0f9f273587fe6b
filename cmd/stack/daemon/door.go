package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/watch"
)

// errShutOut ends a daemon that nobody can reach any more.
var errShutOut = errors.New("other hands have removed the daemon's socket or its lock below the run root: nobody could reach it, and no other could take its place; " +
	"containers run on, and the next daemon, which systemd or the next command starts, puts right what else is gone")

// door is what others find a daemon by: files below the run root, each with what it was when the daemon made it.
type door map[string]os.FileInfo

// doorOf is the door of who has made paths. Those that are gone already are removed ones.
func doorOf(paths ...string) door {
	d := door{}
	for _, path := range paths {
		d[path], _ = os.Lstat(path)
	}
	return d
}

// stands says whether every file is still the one that was made.
func (d door) stands() bool {
	for path, made := range d {
		if now, err := os.Lstat(path); made == nil || errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(made, now) {
			return false
		}
	}
	return true
}

// removed is closed when d does not stand any more, until ctx ends. Where the kernel does not tell, it stays open.
func (d door) removed(ctx context.Context) <-chan struct{} {
	done := make(chan struct{})
	files, err := watch.OpenFiles()
	if err != nil {
		return done
	}
	context.AfterFunc(ctx, func() { files.Close() })
	const events = unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_MOVE_SELF | unix.IN_DELETE_SELF | unix.IN_ONLYDIR
	for path := range d {
		_ = files.Add(filepath.Dir(path), events) // of what is gone the first look knows
	}
	go func() {
		for d.stands() {
			if files.Wait() != nil {
				return
			}
			files.Drain(func(watch.FileEvent) {})
		}
		close(done)
	}()
	return done
}
