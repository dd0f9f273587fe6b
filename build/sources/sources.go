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

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sourcetree"
)

// Limits of one stream.
type Limits = sourcetree.Limits

// Unpack writes what r has, a tar stream that is plain or compressed, into dir, which is empty and this process's alone. Files have the mode and the time that the stream
// says, and belong to this process; a later entry of a name takes the place of an earlier one. errdefs.ErrInvalidArgument says what is wrong with the stream.
func Unpack(ctx context.Context, dir string, r io.Reader, limits Limits) error {
	tree, err := sourcetree.Open(dir, limits)
	if err != nil {
		return err
	}
	plain, err := content.Decompress(r)
	if err != nil {
		return errors.Join(invalid("%w", err), tree.Close())
	}
	defer plain.Close()
	return errors.Join(unpack(ctx, tree, tar.NewReader(plain)), tree.Close())
}

func unpack(ctx context.Context, tree *sourcetree.Tree, tr *tar.Reader) error {
	for n := 0; ; n++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		hdr, err := tr.Next()
		switch {
		case err == io.EOF:
			return nil
		case errors.Is(err, tar.ErrHeader), errors.Is(err, io.ErrUnexpectedEOF):
			return invalid("it is not a tar stream, or is cut off after %d entries", n)
		case err != nil:
			return invalid("after %d entries: %w", n, err)
		}
		if err := tree.Entry(); err != nil {
			return invalid("%w", err)
		}
		if err := entry(tree, hdr, tr); err != nil {
			return invalid("%q: %w", hdr.Name, err)
		}
	}
}

func invalid(format string, args ...any) error {
	return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot use the build context that was sent: "+format, args...))
}

func entry(tree *sourcetree.Tree, hdr *tar.Header, body io.Reader) error {
	mode := fs.FileMode(hdr.Mode & 0o777)
	switch hdr.Typeflag {
	case tar.TypeXGlobalHeader: // git archive writes one
		return nil
	case tar.TypeDir:
		return tree.Dir(hdr.Name, mode, hdr.ModTime)
	case tar.TypeReg, tar.TypeGNUSparse:
		f, err := tree.File(hdr.Name, mode, hdr.ModTime)
		if err != nil {
			return err
		}
		if err := f.Fill(body, hdr.Size); err != nil {
			f.Abandon()
			return err
		}
		return f.Close()
	case tar.TypeSymlink:
		return tree.Symlink(hdr.Name, hdr.Linkname)
	case tar.TypeLink:
		return tree.Link(hdr.Name, hdr.Linkname)
	}
	return fmt.Errorf("it is of type %q: a context has files, directories and links", hdr.Typeflag)
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
