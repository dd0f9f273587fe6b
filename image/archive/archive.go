package archive

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/internal/errdefs"
)

// Archive is an image archive that was read from a stream: each of its files has been put into a scratch directory
// under a number. Names of the archive are only keys of a map, and links in it lead only to other keys, so nothing in
// it can mean a file of the host (CVE-2026-53489).
type Archive struct {
	dir   string
	files map[string]string // name in the archive: path here
	links map[string]string // name in the archive: the name that it leads to
}

// maxArchiveFiles is far above what 500 layers of many images need.
const maxArchiveFiles = 1 << 16

func invalidArchive(format string, args ...any) error {
	return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf(format, args...))
}

// Read reads an outer tar stream, compressed or not, to its end.
func Read(ctx context.Context, r io.Reader, dir string, tell func(int64)) (*Archive, error) {
	plain, err := content.Decompress(r)
	if err != nil {
		return nil, invalidArchive("the input is not an image archive: it is neither tar nor compressed tar: %w", err)
	}
	defer plain.Close()
	a := &Archive{dir: dir, files: make(map[string]string), links: make(map[string]string)}
	tr := tar.NewReader(plain)
	var total int64
	for n := 0; ; n++ {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		hdr, err := tr.Next()
		if err == io.EOF {
			if n == 0 {
				return nil, invalidArchive("the input is empty")
			}
			return a, nil
		}
		switch {
		case errors.Is(err, tar.ErrHeader) && n > 0:
			return nil, invalidArchive("the archive is damaged after %d files", n)
		case errors.Is(err, tar.ErrHeader), n == 0 && err == io.ErrUnexpectedEOF: // tar(5): a header has 512 bytes
			return nil, invalidArchive("the input is not an image archive: expected a tar file as docker save writes it, or of an OCI layout")
		case err == io.ErrUnexpectedEOF:
			return nil, invalidArchive("the archive is cut off")
		case err != nil:
			return nil, err
		case n >= maxArchiveFiles:
			return nil, invalidArchive("the archive has more than %d files", maxArchiveFiles)
		}
		name := archiveName(hdr.Name)
		switch hdr.Typeflag {
		case tar.TypeReg:
			file := filepath.Join(dir, strconv.Itoa(n))
			if err := spool(ctx, file, tr, func(n int64) { total += n; tell(total) }); err != nil {
				if err == io.ErrUnexpectedEOF {
					return nil, invalidArchive("the archive is cut off in %q", hdr.Name)
				}
				return nil, err
			}
			a.files[name] = file
			delete(a.links, name)
		case tar.TypeSymlink:
			// Old docker save linked equal layers: <id>/layer.tar -> ../<other>/layer.tar.
			a.links[name] = archiveName(path.Join(path.Dir("/"+name), hdr.Linkname))
			if path.IsAbs(hdr.Linkname) {
				a.links[name] = archiveName(hdr.Linkname)
			}
			delete(a.files, name)
		case tar.TypeLink:
			a.links[name] = archiveName(hdr.Linkname)
			delete(a.files, name)
		}
	}
}

func archiveName(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

func spool(ctx context.Context, file string, r io.Reader, tell func(int64)) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, 256<<10)
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if _, err := f.Write(buf[:n]); err != nil {
				return err
			}
			tell(int64(n))
		}
		switch err {
		case nil:
		case io.EOF:
			return f.Close()
		case io.ErrUnexpectedEOF:
			// ReadFull says that for a last short read as well as for a cut stream; the stream says it again.
			if m, again := r.Read(buf[:1]); again == io.EOF && m == 0 {
				return f.Close()
			}
			return io.ErrUnexpectedEOF
		default:
			return err
		}
	}
}

// path returns where the file that name means is, through at most a few links.
func (a *Archive) path(name string) (string, bool) {
	name = archiveName(name)
	for range 8 {
		if file, ok := a.files[name]; ok {
			return file, true
		}
		next, ok := a.links[name]
		if !ok {
			return "", false
		}
		name = next
	}
	return "", false
}

func (a *Archive) has(name string) bool { _, ok := a.path(name); return ok }

func (a *Archive) read(name string, limit int64) ([]byte, error) {
	file, ok := a.path(name)
	if !ok {
		return nil, invalidArchive("the archive has no %q", name)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return content.ReadAll(f, limit, name)
}

func (a *Archive) open(name string) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) {
		file, ok := a.path(name)
		if !ok {
			return nil, invalidArchive("the archive has no %q", name)
		}
		return os.Open(file)
	}
}

func blobName(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }

// Manifest and small make an OCI layout a source of documents.
// https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
func (a *Archive) Manifest(ctx context.Context, identifier string) (manifest.Document, error) {
	h, err := v1.NewHash(identifier)
	if err != nil {
		return manifest.Document{}, invalidArchive("%q is not a digest", identifier)
	}
	raw, err := a.blob(h, manifest.MaxManifest)
	return manifest.Document{Raw: raw, Digest: h}, err
}

// Small is a blob of the layout, verified.
func (a *Archive) Small(ctx context.Context, desc v1.Descriptor, limit int64) ([]byte, error) {
	return a.blob(desc.Digest, limit)
}

func (a *Archive) blob(h v1.Hash, limit int64) ([]byte, error) {
	raw, err := a.read(blobName(h), limit)
	if err != nil {
		return nil, err
	}
	if err := content.Verify(raw, h); err != nil {
		return nil, invalidArchive("%s: %w", blobName(h), err)
	}
	return raw, nil
}

func (a *Archive) json(name string, limit int64, to any) error {
	raw, err := a.read(name, limit)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, to); err != nil {
		return invalidArchive("%s of the archive: %w", name, err)
	}
	return nil
}
