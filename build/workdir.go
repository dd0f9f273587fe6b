package build

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/stackrun/stack/build/rootfs"
	"github.com/stackrun/stack/internal/errdefs"
)

// workdirCommand carries out WORKDIR: the directory is made if it is not there, as the stage's user's.
func (w *worker) workdirCommand(ctx context.Context, c *instructions.WorkdirCommand, p Progress) (bool, error) {
	dir := w.state.workdir(c.Path)
	w.state.conf.Config.WorkingDir = dir
	by := "WORKDIR " + dir
	if dir == "/" {
		w.state.told(by)
		return true, nil
	}
	user := w.state.conf.Config.User
	k := newKey("WORKDIR")
	k.layers(w.state.layers())
	k.add(dir, user, fmt.Sprint(w.epoch.Unix()))
	r, cached, err := w.layerStep(ctx, k.String(), p, func(ctx context.Context, key string) (bool, error) {
		return true, w.mkdir(ctx, key, dir, user)
	})
	if err == nil {
		w.state.made(by, r)
	}
	return cached, err
}

func (w *worker) mkdir(ctx context.Context, key, dir, user string) (err error) {
	mounts, err := w.prepare(ctx, key, w.state.layers())
	if err != nil {
		return err
	}
	root, err := rootfs.Mount(rootfs.Writable(mounts[0]))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	canonical, exists, err := root.Resolve(dir)
	if err != nil {
		return err
	}
	if canonical == "." || exists == 1+strings.Count(canonical, "/") {
		return nil
	}
	a := rootfs.Attributes{Mode: 0o755}
	if user != "" {
		if a.UID, a.GID, err = root.Owner(user); err != nil {
			return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("USER %s: %w", user, err))
		}
	}
	_, err = root.MkdirAll(canonical, exists, a)
	return err
}
