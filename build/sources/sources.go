// Package sources makes a directory of the tar stream in which a client sends the sources of a build.
//
// The stream is a stranger's: whatever it names is made below the directory and nowhere else (os.Root), and what is no file, directory or link is refused.
//
// Called by reconcile/library. May touch: the directory that it is given.
package sources

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/internal/errdefs"
)

// Limits of one stream. The zero value of a field means its default.
type Limits struct {
	Bytes   int64 // of all files together; 0 = 64 GiB
	Entries int   // 0 = a million
}

const (
	defaultBytes   = 64 << 30
	defaultEntries = 1 << 20
	// maxName is PATH_MAX of linux/limits.h.
	maxName = 4096
)

// Unpack writes what r has, a tar stream that is plain or compressed, into dir, which is empty and this process's alone. Files have the mode and the time that the stream
// says, and belong to this process; a later entry of a name takes the place of an earlier one. errdefs.ErrInvalidArgument says what is wrong with the stream.
func Unpack(ctx context.Context, dir string, r io.Reader, limits Limits) error {
	if limits.Bytes == 0 {
		limits.Bytes = defaultBytes
	}
	if limits.Entries == 0 {
		limits.Entries = defaultEntries
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	plain, err := content.Decompress(r)
	if err != nil {
		return invalid("%w", err)
	}
	defer plain.Close()
	u := &unpacker{root: root, left: limits.Bytes, buf: make([]byte, 256<<10), times: map[string]time.Time{}}
	tr := tar.NewReader(plain)
	for n := 0; ; n++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		hdr, err := tr.Next()
		switch {
		case err == io.EOF:
			return u.finish()
		case errors.Is(err, tar.ErrHeader), errors.Is(err, io.ErrUnexpectedEOF):
			return invalid("it is not a tar stream, or is cut off after %d entries", n)
		case err != nil:
			return invalid("after %d entries: %w", n, err)
		case n >= limits.Entries:
			return invalid("it has more than %d entries", limits.Entries)
		}
		if err := u.entry(hdr, tr); err != nil {
			return invalid("%q: %w", hdr.Name, err)
		}
	}
}

func invalid(format string, args ...any) error {
	return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot use the build context that was sent: "+format, args...))
}

type unpacker struct {
	root  *os.Root
	left  int64 // bytes
	buf   []byte
	times map[string]time.Time // of directories: what is made in them changes theirs
}

func (u *unpacker) entry(hdr *tar.Header, body io.Reader) error {
	if hdr.Typeflag == tar.TypeXGlobalHeader { // git archive writes one
		return nil
	}
	if len(hdr.Name) >= maxName || strings.IndexByte(hdr.Name, 0) >= 0 {
		return errors.New("its name is too long, or has a NUL byte")
	}
	name := strings.TrimPrefix(path.Clean("/"+hdr.Name), "/")
	if name == "" {
		if hdr.Typeflag != tar.TypeDir {
			return errors.New("the context itself must be a directory")
		}
		return nil
	}
	mode := fs.FileMode(hdr.Mode & 0o777)
	if err := u.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	if hdr.Typeflag == tar.TypeDir {
		if err := u.root.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if info, err := u.root.Lstat(name); err != nil || !info.IsDir() {
			return errors.New("it is a directory and something else")
		}
		u.times[name] = hdr.ModTime
		return u.root.Chmod(name, mode|0o700)
	}
	if err := u.root.RemoveAll(name); err != nil {
		return err
	}
	delete(u.times, name)
	switch hdr.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		return u.file(name, mode, hdr, body)
	case tar.TypeSymlink:
		return u.root.Symlink(hdr.Linkname, name)
	case tar.TypeLink:
		target := strings.TrimPrefix(path.Clean("/"+hdr.Linkname), "/")
		if info, err := u.root.Lstat(target); err != nil || !info.Mode().IsRegular() {
			return fmt.Errorf("it is a link to %q, which is no file of the context", hdr.Linkname)
		}
		return u.root.Link(target, name)
	}
	return fmt.Errorf("it is of type %q: a context has files, directories and links", hdr.Typeflag)
}

func (u *unpacker) file(name string, mode fs.FileMode, hdr *tar.Header, body io.Reader) error {
	if u.left -= hdr.Size; u.left < 0 || hdr.Size < 0 {
		return errors.New("the context is too large")
	}
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{body}, u.buf); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return u.root.Chtimes(name, hdr.ModTime, hdr.ModTime)
}

func (u *unpacker) finish() error {
	for name, t := range u.times {
		if err := u.root.Chtimes(name, t, t); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// File checks that name, as a client writes it, is a regular file of dir, by way of links that do not leave it, and returns its path relative to dir.
func File(dir, name string) (string, error) {
	clean := strings.TrimPrefix(path.Clean("/"+name), "/")
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	info, err := root.Stat(clean)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", invalid("it has no %q", name)
	case err != nil:
		return "", invalid("%q: %w", name, err)
	case !info.Mode().IsRegular():
		return "", invalid("%q is not a file", name)
	}
	return clean, nil
}
