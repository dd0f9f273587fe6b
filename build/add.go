package build

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/build/rootfs"
	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/unpack"
	"github.com/stackrun/stack/internal/errdefs"
)

func isURL(s string) bool {
	return (strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://")) && !isGit(s)
}

// isGit knows what docker takes for a repository.
func isGit(s string) bool {
	path, _, _ := strings.Cut(s, "#")
	return strings.HasPrefix(s, "git://") || strings.HasPrefix(s, "ssh://") || strings.HasPrefix(s, "git@") ||
		strings.Contains(path, "://") && strings.HasSuffix(path, ".git")
}

// addCommand carries out ADD: a COPY that fetches URLs and unpacks archives.
func (w *worker) addCommand(ctx context.Context, c *instructions.AddCommand, p Progress) (bool, error) {
	t := w.newTransfer("ADD", c.SourcesAndDest, historyOf(c))
	t.chown, t.chmod, t.excludes = c.Chown, c.Chmod, c.ExcludePatterns
	var src *tree
	if w.r.Context != "" {
		var err error
		if src, err = w.context(w.r.Context); err != nil {
			return false, err
		}
	}
	pieces, err := w.pieces(ctx, t, src)
	if err != nil {
		return false, err
	}
	if c.Unpack != nil {
		for i := range pieces {
			pieces[i].archive = pieces[i].archive && *c.Unpack
		}
	}
	k := w.transferKey(t)
	addPieces(k, pieces)
	for _, source := range t.sources {
		if !isURL(source) {
			continue
		}
		if w.r.Offline {
			return false, &OfflineError{What: source}
		}
		got, err := w.fetch(ctx, source, c.Checksum)
		if err != nil {
			return false, err
		}
		defer got.close()
		k.add("url", source, got.sum, fmt.Sprint(c.Unpack != nil && *c.Unpack))
		piece, err := got.piece(source, t)
		if err != nil {
			return false, err
		}
		if c.Unpack != nil && *c.Unpack {
			if piece.archive, err = isArchive(piece.tree, piece.list[0].name); err != nil {
				return false, err
			}
		}
		pieces = append(pieces, piece)
	}
	return w.transferStep(ctx, k.String(), p, t, pieces)
}

// download is a file that was fetched.
type download struct {
	dir      string // of its own
	sum      string
	modified time.Time
	tree     *tree
}

func (d *download) close() {
	d.tree.close()
	os.RemoveAll(d.dir)
}

// fetchTimeout is how long a server may say nothing.
const fetchTimeout = 60 * time.Second

var fetcher = &http.Client{Transport: &http.Transport{
	Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: fetchTimeout, TLSHandshakeTimeout: fetchTimeout, ForceAttemptHTTP2: true,
}}

// fetch downloads source and holds it against checksum, if that is given.
func (w *worker) fetch(ctx context.Context, source, checksum string) (_ *download, err error) {
	want, ok := strings.CutPrefix(checksum, "sha256:")
	if checksum != "" && (!ok || len(want) != 64) {
		return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("--checksum=%s: expected sha256: and 64 hex digits", checksum))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, source, nil)
	if err != nil {
		return nil, errdefs.With(errdefs.ErrInvalidArgument, err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := fetcher.Do(req)
	if err != nil {
		return nil, fmt.Errorf("cannot fetch it: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("cannot fetch %s: the server says %s", source, resp.Status)
	}
	dir, err := w.b.tempDir()
	if err != nil {
		return nil, err
	}
	d := &download{dir: dir}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	f, err := os.OpenFile(filepath.Join(dir, "file"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(f, sum), resp.Body); err != nil {
		return nil, fmt.Errorf("cannot fetch %s: %w", source, err)
	}
	if d.sum = hex.EncodeToString(sum.Sum(nil)); checksum != "" && d.sum != strings.ToLower(want) {
		return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("%s is not what was expected: its checksum is sha256:%s", source, d.sum))
	}
	// As docker has it: the time that the server gives, or none.
	d.modified = time.Unix(0, 0)
	if m, err := http.ParseTime(resp.Header.Get("Last-Modified")); err == nil {
		d.modified = m
	}
	root, err := rootfs.Open(dir)
	if err != nil {
		return nil, err
	}
	d.tree = &tree{name: source, root: root, context: true, private: true}
	return d, nil
}

// piece is d as a source of t.
func (d *download) piece(source string, t transfer) (piece, error) {
	u, err := url.Parse(source)
	if err != nil {
		return piece{}, err
	}
	base := path.Base(u.Path)
	if t.asDir && (base == "/" || base == ".") {
		return piece{}, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("%s does not say what the file is to be called in %s: write the destination with its name", source, t.dest))
	}
	st, err := d.tree.root.Lstat("file")
	if err != nil {
		return piece{}, err
	}
	st.Mode = unix.S_IFREG | 0o600
	st.Mtim = unix.NsecToTimespec(d.modified.UnixNano())
	return piece{tree: d.tree, base: base, list: []*entry{{name: "file", st: st}}}, nil
}

// isArchive says whether an ADD unpacks the file: it is a tar archive, whatever its name says.
func isArchive(t *tree, canonical string) (bool, error) {
	st, err := t.root.Lstat(canonical)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return false, err
	}
	f, _, err := t.root.OpenFile(canonical)
	if err != nil {
		return false, err
	}
	defer f.Close()
	plain, err := content.Decompress(f)
	if err != nil {
		return false, nil // compressed it may be, an archive it is not
	}
	defer plain.Close()
	_, err = tar.NewReader(plain).Next()
	return err == nil, nil
}

// unpack puts what an archive holds below dest. It is unpacked in a directory of its own first, so that no name and no link in it can mean
// anything else than it does there.
func (w *worker) unpack(ctx context.Context, out *writer, p piece, dest string) error {
	dir, err := w.b.tempDir()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	f, _, err := p.tree.root.OpenFile(p.list[0].name)
	if err != nil {
		return err
	}
	defer f.Close()
	plain, err := content.Decompress(f)
	if err != nil {
		return err
	}
	defer plain.Close()
	result, err := unpack.Layer(ctx, dir, plain, unpack.Options{})
	if err != nil {
		return fmt.Errorf("cannot unpack %s: %w", p.base, err)
	}
	if len(result.Links) > 0 {
		return fmt.Errorf("cannot unpack %s: %q is a hard link to %q, which it does not hold", p.base, result.Links[0].Path, result.Links[0].Target)
	}
	root, err := rootfs.Open(dir)
	if err != nil {
		return err
	}
	t := &tree{name: "archive " + p.base, root: root, private: true}
	defer t.close()
	list, err := t.list(ctx)
	if err != nil {
		return err
	}
	// The directory itself has the attributes of a new one, unless the archive speaks of it.
	if !result.Root {
		list[0].st.Mode, list[0].st.Uid, list[0].st.Gid = unix.S_IFDIR|0o755, 0, 0
	}
	return out.put(ctx, t, list, "", dest, true)
}
