package boot

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/treecopy"
)

// unfinished is set on a volume's directory while it is being filled, so that a copy that was killed is taken up
// again by the next start, where a volume that holds something would otherwise be left alone.
const unfinished = "trusted.stack.copyup"

// copyUp fills an empty volume with what the image has at its target: owners, modes, times, xattrs, hardlinks. A volume
// that holds something is left as it is. Both are descriptors, and no name below them is followed out of them. What unheard says ends it.
//
// Two containers that start with one new volume take turns: flock on the volume's directory.
func copyUp(self descriptors, volume, image int, unheard func() error) error {
	to, err := treecopy.OpenDir(volume, ".")
	if err != nil {
		return fault("volume", "openat", "", err)
	}
	defer unix.Close(to)
	from, err := treecopy.OpenDir(image, ".")
	if err != nil {
		return fault("volume", "openat", "", err)
	}
	defer unix.Close(from)
	// A server of files may have no locks.
	if err := lock(to); err != nil && err != unix.ENOLCK && err != unix.EOPNOTSUPP {
		return fault("volume", "flock", "", err)
	}
	defer unix.Flock(to, unix.LOCK_UN)
	_, markErr := unix.Fgetxattr(to, unfinished, nil)
	if markErr != nil {
		names, err := treecopy.List(to)
		if err != nil {
			return fault("volume", "getdents64", "", err)
		}
		if len(names) > 0 {
			return nil
		}
		// A file system without xattrs cannot be marked; then only an unlucky kill leaves a part.
		_ = unix.Fsetxattr(to, unfinished, []byte("1"), 0)
	}
	err = treecopy.Copy(from, to, treecopy.Options{Go: unheard, Open: self.open, Skip: func(xattr string) bool { return xattr == unfinished }})
	if failed := (*treecopy.Error)(nil); errors.As(err, &failed) {
		return fault("volume", failed.Op, failed.Path, failed.Err)
	}
	if err != nil {
		return err
	}
	_ = unix.Fremovexattr(to, unfinished)
	return nil
}

func lock(fd int) error {
	for {
		if err := unix.Flock(fd, unix.LOCK_EX); err != unix.EINTR {
			return err
		}
	}
}
