package snapshot

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/image/layer"
	"github.com/stackrun/stack/image/overlay"
	"github.com/stackrun/stack/image/pack"
	"github.com/stackrun/stack/image/progress"
)

// Base says what image the container key runs on, and on which layers, lowest first. An error that is fs.ErrNotExist when there is no such snapshot.
func (s *Store) Base(key string) (image v1.Hash, layers []v1.Hash, err error) {
	dir, err := s.snapshotDir(key)
	if err != nil {
		return v1.Hash{}, nil, err
	}
	rec, err := readSnapshot(dir)
	return rec.Image, rec.Layers, err
}

// Written makes a layer of what the container key, which may run, has written on its own, and says how many entries it has; 0 = there is none. Errors are those of Base. The caller
// keeps layers from being taken away until an image has it.
func (s *Store) Written(ctx context.Context, key string) (diff v1.Hash, entries int64, err error) {
	dir, err := s.snapshotDir(key)
	if err != nil {
		return diff, 0, err
	}
	rec, err := readSnapshot(dir)
	if err != nil {
		return diff, 0, err
	}
	return s.layerOfUpper(ctx, rec, filepath.Join(dir, "upper"))
}

// layerOfUpper makes a layer of upper, which is left as it is: its stream is written to a file, and unpacked from there as a pulled one.
func (s *Store) layerOfUpper(ctx context.Context, rec record, upper string) (diff v1.Hash, entries int64, err error) {
	own, err := s.ownRoot(upper, rec.Layers)
	if err != nil {
		return diff, 0, err
	}
	below := s.below(rec)
	tmp, err := s.dir.Scratch()
	if err != nil {
		return diff, 0, err
	}
	defer tmp.Drop()
	path := filepath.Join(tmp.Dir, "layer.tar")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return diff, 0, err
	}
	defer f.Close()
	diff, entries, err = pack.Live(ctx, upper, own, f, below, func(name string, st *unix.Stat_t) bool { return ofContainer(name, st) && !below(name) })
	if err != nil || entries == 0 {
		return diff, 0, err
	}
	if err := s.layers.NoteUnsynced(diff); err != nil {
		return diff, 0, err
	}
	s.layers.Sync()
	_, err = s.layers.Ensure(ctx, layer.Source{Diff: diff, Open: func(context.Context) (io.ReadCloser, error) { return os.Open(path) }}, func(progress.Report) {})
	return diff, entries, err
}

// ofContainer says whether a container's root has name because it is a container's: its mark, and what its own files are mounted on.
func ofContainer(name string, st *unix.Stat_t) bool {
	switch name {
	case dockerenv, "etc/hosts", "etc/hostname", "etc/resolv.conf":
		return st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size == 0
	}
	return false
}

// below says whether one of the layers that rec stands on has something at a name. A link on the way is not followed: overlayfs does not either, and the
// layer would lead to the host.
func (s *Store) below(rec record) func(name string) bool {
	lower := s.lower(rec.Layers, rec.Patch)
	return func(name string) bool {
		return slices.ContainsFunc(lower, func(fs string) bool {
			dir, err := unix.Open(fs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			if err != nil {
				return false
			}
			defer unix.Close(dir)
			fd, err := unix.Openat2(dir, name, &unix.OpenHow{
				Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
			})
			if err != nil {
				return false
			}
			unix.Close(fd)
			return true
		})
	}
}

// ownRoot says whether upper has another root than the layers below.
func (s *Store) ownRoot(upper string, layers []v1.Hash) (bool, error) {
	for _, d := range slices.Backward(layers) {
		r, err := s.layers.Read(d)
		if err != nil {
			return false, err
		}
		if r.Root {
			same, err := overlay.SameAttributes(s.layers.FS(d), upper)
			return !same, err
		}
	}
	var st unix.Stat_t
	if err := unix.Lstat(upper, &st); err != nil {
		return false, err
	}
	return st.Mode&0o7777 != 0o755 || st.Uid != 0 || st.Gid != 0, nil
}
