package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/internal/roots"
)

// errAnswered says that another daemon holds the lock and answers.
var errAnswered = errors.New("another stack daemon runs on these roots")

// lockRoots takes <run>/daemon.lock. While another holds it: errAnswered once that one answers; when it leaves
// instead, the lock becomes ours. The lock is an flock(2): it ends with its holder, however that dies.
func (p *Process) lockRoots(ctx context.Context) (*os.File, error) {
	r := p.Options.Roots
	path := r.InRun("daemon.lock")
	c := client.New(r.Socket(), p.Version)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		f, err := tryLock(path)
		if err == nil || !errors.Is(err, unix.EWOULDBLOCK) {
			return f, err
		}
		// A daemon of another version answers too: the client will say so.
		if _, err := c.Connect(ctx); err == nil || errors.Is(err, api.ErrVersion) {
			return nil, errAnswered
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, unanswered(path)
		}
	}
}

// unanswered says that the holder of the lock holds it without an answer: it is stopped, or its socket is gone.
func unanswered(path string) error {
	holder, kill := "its holder", "find it with `fuser "+path+"`, end it"
	if pid, err := os.ReadFile(path); err == nil && len(pid) > 0 { // written by who holds it
		holder, kill = fmt.Sprintf("the daemon that has it (pid %s)", pid), fmt.Sprintf("end it with `kill -9 %s`", pid)
	}
	return fmt.Errorf("cannot lock %s: %s neither answers nor leaves\n%s and run the command again; containers run on meanwhile", path, holder, kill)
}

// tryLock makes and locks path. A daemon that leaves removes the file while it holds it, so a lock counts
// only when path still names the file that was locked.
func tryLock(path string) (*os.File, error) {
	for {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if errors.Is(err, fs.ErrNotExist) { // its directory was just removed
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			f.Close()
			return nil, fmt.Errorf("cannot lock %s: %w", path, err)
		}
		locked, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, err
		}
		if now, err := os.Stat(path); err == nil && os.SameFile(locked, now) {
			f.Truncate(0)                            //nolint:errcheck // only a message has it
			f.WriteString(strconv.Itoa(os.Getpid())) //nolint:errcheck // as above
			return f, nil
		}
		f.Close()
	}
}

// leaveRun removes what the daemon has of the run root: the socket, empty directories, last the lock. Whatever is
// not empty stays: somebody may still need it.
func leaveRun(r roots.Roots, lock *os.File) {
	os.Remove(r.Socket()) //nolint:errcheck // the next daemon replaces it
	var dirs []string
	filepath.WalkDir(r.Run, func(path string, d fs.DirEntry, err error) error { //nolint:errcheck // best effort
		if err == nil && d.IsDir() && path != r.Run {
			dirs = append(dirs, path)
		}
		return nil
	})
	for i := len(dirs) - 1; i >= 0; i-- {
		os.Remove(dirs[i]) //nolint:errcheck // not empty
	}
	os.Remove(lock.Name()) //nolint:errcheck // while it is ours
	os.Remove(r.Run)       //nolint:errcheck // not empty
	lock.Close()
}
