package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/layer"
	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/internal/objectid"
)

// directory is an OCI image layout, in which the cache is named by tag.
// https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
type directory struct {
	dir, tag string

	// For writing:
	root     *os.Root
	layers   *layer.Store
	uid, gid int // whose all of it is: the directory's owner's
}

const (
	layoutFile    = "oci-layout"
	indexFile     = "index.json"
	blobs         = "blobs/sha256"
	refAnnotation = "org.opencontainers.image.ref.name"
)

func blobPath(h v1.Hash) string { return path.Join("blobs", h.Algorithm, h.Hex) }

// openDirectory is dir, for reading. fs.ErrNotExist when it is not there, or no layout.
func openDirectory(dir, tag string) (*directory, error) {
	d := &directory{dir: dir, tag: tag}
	_, err := d.file(indexFile, manifest.MaxManifest)
	return d, err
}

// open opens a file of the layout, wherever links want to lead. What is no file, as a pipe that nobody writes, is refused.
func (d *directory) open(name string) (*os.File, error) {
	root, err := os.OpenRoot(d.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("%w: %s is no file", content.ErrUnusable, name)
	}
	return f, nil
}

func (d *directory) file(name string, limit int64) ([]byte, error) {
	f, err := d.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return content.ReadAll(f, limit, name)
}

func (d *directory) index() (v1.IndexManifest, error) {
	var x v1.IndexManifest
	raw, err := d.file(indexFile, manifest.MaxManifest)
	if err != nil {
		return x, err
	}
	if err := json.Unmarshal(raw, &x); err != nil {
		return x, fmt.Errorf("%w: %s: %v", content.ErrUnusable, indexFile, err)
	}
	return x, nil
}

// Manifest is the one of that tag or digest.
func (d *directory) Manifest(ctx context.Context, identifier string) (manifest.Document, error) {
	if h, err := v1.NewHash(identifier); err == nil {
		raw, err := d.Small(ctx, v1.Descriptor{Digest: h}, manifest.MaxManifest)
		return manifest.Document{Raw: raw, Digest: h}, err
	}
	x, err := d.index()
	if err != nil {
		return manifest.Document{}, err
	}
	i := slices.IndexFunc(x.Manifests, func(desc v1.Descriptor) bool { return desc.Annotations[refAnnotation] == identifier })
	if i < 0 {
		return manifest.Document{}, fmt.Errorf("%w: nothing in it is called %s", fs.ErrNotExist, identifier)
	}
	desc := x.Manifests[i]
	raw, err := d.Small(ctx, desc, manifest.MaxManifest)
	return manifest.Document{Raw: raw, Media: desc.MediaType, Digest: desc.Digest}, err
}

// Small is a blob, verified.
func (d *directory) Small(_ context.Context, desc v1.Descriptor, limit int64) ([]byte, error) {
	if _, err := v1.NewHash(desc.Digest.String()); err != nil {
		return nil, fmt.Errorf("%w: %v", content.ErrUnusable, err)
	}
	raw, err := d.file(blobPath(desc.Digest), limit)
	if err != nil {
		return nil, err
	}
	if err := content.Verify(raw, desc.Digest); err != nil {
		return nil, fmt.Errorf("%s: %w", blobPath(desc.Digest), err)
	}
	return raw, nil
}

// Blob is one as a stream. Who reads it verifies it.
func (d *directory) Blob(_ context.Context, desc v1.Descriptor) (io.ReadCloser, error) {
	if _, err := v1.NewHash(desc.Digest.String()); err != nil {
		return nil, fmt.Errorf("%w: %v", content.ErrUnusable, err)
	}
	return d.open(blobPath(desc.Digest))
}

// makeDirectory is dir, for writing. What has to be made of it belongs to who has the directory above. The caller closes it.
func makeDirectory(dir, tag string, layers *layer.Store) (*directory, error) {
	var missing []string
	above := dir
	for ; ; above = filepath.Dir(above) {
		_, err := os.Stat(above)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || above == filepath.Dir(above) {
			return nil, err
		}
		missing = append(missing, filepath.Base(above))
	}
	root, err := os.OpenRoot(above)
	if err != nil {
		return nil, err
	}
	owner, err := root.Stat(".")
	if err != nil {
		root.Close()
		return nil, err
	}
	has := owner.Sys().(*syscall.Stat_t)
	d := &directory{dir: dir, tag: tag, layers: layers, root: root, uid: int(has.Uid), gid: int(has.Gid)}
	// Each in the one that was opened: whoever has that could put another in the place of a path.
	for _, name := range slices.Backward(missing) {
		inner, err := d.enter(name)
		if err != nil {
			d.close()
			return nil, err
		}
		d.close()
		d.root = inner
	}
	for _, name := range []string{path.Dir(blobs), blobs} {
		if err := d.mkdir(name); err != nil && !errors.Is(err, fs.ErrExist) {
			d.close()
			return nil, err
		}
	}
	return d, nil
}

// mkdir makes a directory in d, which belongs to who has d.
func (d *directory) mkdir(name string) error {
	if err := d.root.Mkdir(name, 0o755); err != nil {
		return err
	}
	return d.root.Lchown(name, d.uid, d.gid)
}

// enter makes a directory in d and opens it.
func (d *directory) enter(name string) (*os.Root, error) {
	if err := d.mkdir(name); err != nil {
		return nil, err
	}
	return d.root.OpenRoot(name)
}

func (d *directory) close() { d.root.Close() }

// unfinished begins the names of what is being written.
const unfinished = "tmp-"

// write puts what fill writes where fill says, in one step.
func (d *directory) write(fill func(w io.Writer) (name string, err error)) (err error) {
	tmp := path.Join(blobs, unfinished+objectid.New())
	f, err := d.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			d.root.Remove(tmp)
		}
	}()
	defer f.Close()
	name, err := fill(f)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Chown(d.uid, d.gid), f.Close()); err != nil {
		return err
	}
	return d.root.Rename(tmp, name)
}

func (d *directory) writeFile(name string, raw []byte) error {
	return d.write(func(w io.Writer) (string, error) {
		_, err := w.Write(raw)
		return name, err
	})
}

// Layer compresses the layer diff into the directory, unless a form of it is there.
func (d *directory) Layer(ctx context.Context, diff v1.Hash) (v1.Descriptor, error) {
	for _, f := range d.layers.Forms(diff) {
		if ok, err := d.Has(ctx, f.Descriptor()); ok || err != nil {
			return f.Descriptor(), err
		}
	}
	var desc v1.Descriptor
	err := d.write(func(w io.Writer) (string, error) {
		digest, size, err := d.layers.Compress(ctx, diff, w, func(int64) {})
		desc = v1.Descriptor{MediaType: types.OCILayer, Digest: digest, Size: size}
		return blobPath(digest), err
	})
	if err == nil {
		d.layers.NoteForm(diff, desc)
	}
	return desc, err
}

// Has goes by the size: who reads a blob verifies it.
func (d *directory) Has(_ context.Context, desc v1.Descriptor) (bool, error) {
	if desc.Digest.Algorithm != path.Base(blobs) {
		return false, nil
	}
	info, err := d.root.Lstat(blobPath(desc.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.Mode().IsRegular() && info.Size() == desc.Size, err
}

func (d *directory) Put(_ context.Context, digest v1.Hash, raw []byte) error {
	return d.writeFile(blobPath(digest), raw)
}

// Name puts doc into the index, in the place of what had the tag, and removes the blobs that nothing in the index leads to any more: a directory that is kept from build to build does
// not grow with each.
func (d *directory) Name(ctx context.Context, doc manifest.Document) error {
	if err := d.Put(ctx, doc.Digest, doc.Raw); err != nil {
		return err
	}
	x, err := d.index()
	if err != nil {
		x = v1.IndexManifest{} // none, or one that nobody can read
	}
	x.SchemaVersion, x.MediaType = 2, types.OCIImageIndex
	x.Manifests = append(slices.DeleteFunc(x.Manifests, func(desc v1.Descriptor) bool { return desc.Annotations[refAnnotation] == d.tag }), v1.Descriptor{
		MediaType: doc.Media, Digest: doc.Digest, Size: int64(len(doc.Raw)), Annotations: map[string]string{refAnnotation: d.tag},
	})
	raw, err := json.Marshal(x)
	if err != nil {
		return err
	}
	if err := errors.Join(d.writeFile(layoutFile, []byte(`{"imageLayoutVersion":"1.0.0"}`)), d.writeFile(indexFile, raw)); err != nil {
		return err
	}
	return d.sweep(ctx, x)
}

// sweep removes the blobs that x does not lead to.
func (d *directory) sweep(ctx context.Context, x v1.IndexManifest) error {
	used := map[string]bool{}
	for _, desc := range x.Manifests {
		if !d.mark(ctx, desc, used, 0) {
			return nil // somebody's manifest cannot be read: what it leads to is not known
		}
	}
	dir, err := d.root.Open(blobs)
	if err != nil {
		return err
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return err
	}
	for _, e := range entries {
		_, bad := v1.NewHash(path.Base(blobs) + ":" + e.Name())
		if used[e.Name()] || bad != nil && !strings.HasPrefix(e.Name(), unfinished) {
			continue
		}
		if err := d.root.Remove(path.Join(blobs, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// maxNested is how deep indexes lead to indexes.
const maxNested = 4

// mark notes what desc leads to: the config, the layers, and other manifests. false when that cannot be found out.
func (d *directory) mark(ctx context.Context, desc v1.Descriptor, used map[string]bool, depth int) bool {
	if used[desc.Digest.Hex] {
		return true
	}
	used[desc.Digest.Hex] = true
	if depth > 0 && !desc.MediaType.IsIndex() && !desc.MediaType.IsImage() {
		return true // a blob; what an index.json names is none, whatever it is called
	}
	raw, err := d.Small(ctx, desc, manifest.MaxManifest)
	if err != nil || depth > maxNested {
		return false
	}
	var m struct {
		Config            v1.Descriptor
		Layers, Manifests []v1.Descriptor
	}
	if json.Unmarshal(raw, &m) != nil {
		return false
	}
	for _, next := range slices.Concat([]v1.Descriptor{m.Config}, m.Layers, m.Manifests) {
		if !d.mark(ctx, next, used, depth+1) {
			return false
		}
	}
	return true
}
