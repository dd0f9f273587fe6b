package unpack

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Limits bound what one layer may make. The zero value of a field means its default.
type Limits struct {
	Bytes   int64 // sum of the files' sizes, holes counted; 0 = DefaultBytes
	Entries int64 // 0 = DefaultEntries
}

// Far above any image in use (the largest public machine-learning layers are some 20 GiB), far below
// what a few kilobytes of gzip can claim.
const (
	DefaultBytes   = 128 << 30
	DefaultEntries = 8 << 20
)

// Options say how to write.
type Options struct {
	Limits Limits

	// UserXattr writes user.overlay.* in place of trusted.overlay.*, for overlayfs mounted with
	// userxattr in a user namespace (Linux 5.11): trusted.* needs CAP_SYS_ADMIN in the first one.
	UserXattr bool

	// Contents is told where in the stream the contents of regular files are, nil = nobody.
	Contents Contents
}

// Contents is told of each regular file whose content stands in the stream as it is in the file: Begin before the first byte of it is
// read, with the path relative to the root, End when all of it has been. What is sparse in the stream is left out.
type Contents interface {
	Begin(path string, size int64)
	End()
}

// Result is what there is to know of an unpacked layer apart from its files.
type Result struct {
	Bytes   int64 `json:"bytes"`   // sum of the sizes of regular files
	Entries int64 `json:"entries"` // entries of the tar stream

	// Root says that the stream has an entry for its root, so that the root's mode and owner are the
	// layer's own word.
	Root bool `json:"root,omitempty"`

	// Implied are the directories that exist only because something is below them, shortest
	// first: the layer says nothing of their mode and owner, so those of the layers below rule.
	Implied []string `json:"implied,omitempty"`

	// Links are hard links whose target is not in this layer.
	Links []Link `json:"links,omitempty"`
}

// Link is a hard link to a file of a lower layer. Both paths are relative to the root.
type Link struct {
	Path   string `json:"path"`
	Target string `json:"target"`
}

// ErrLimit is a layer that is larger than Limits. ErrInvalid is a stream that no layer can be.
var (
	ErrLimit   = errors.New("layer is over its limit")
	ErrInvalid = errors.New("layer is not valid")
)

// Layer unpacks the tar stream r into dir, which must exist, be empty and be reachable by nobody else while
// Layer runs. It reads r to the end of the archive, not to the end of r.
//
// An error leaves dir with whatever was written until then: the caller removes it.
func Layer(ctx context.Context, dir string, r io.Reader, opt Options) (Result, error) {
	if opt.Limits.Bytes == 0 {
		opt.Limits.Bytes = DefaultBytes
	}
	if opt.Limits.Entries == 0 {
		opt.Limits.Entries = DefaultEntries
	}
	tree, err := openTree(dir, opt.UserXattr)
	if err != nil {
		return Result{}, err
	}
	defer tree.close()

	u := &unpacker{tree: tree, limits: opt.Limits, contents: opt.Contents, buf: make([]byte, 1<<20)}
	tr := tar.NewReader(r)
	for {
		if err := ctx.Err(); err != nil {
			return Result{}, context.Cause(ctx)
		}
		hdr, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return Result{}, streamError(err)
		}
		if err := u.entry(hdr, tr); err != nil {
			return Result{}, fmt.Errorf("%q: %w", hdr.Name, err)
		}
	}
	if err := tree.setDirTimes(); err != nil {
		return Result{}, err
	}
	u.result.Implied = tree.impliedDirs()
	return u.result, nil
}

// streamError tells a broken tar stream (the layer's fault) from a failing reader.
func streamError(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, tar.ErrFieldTooLong) {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return err
}

type unpacker struct {
	tree     *tree
	limits   Limits
	contents Contents
	result   Result
	buf      []byte
}

const (
	whiteoutPrefix = ".wh."
	// whiteoutMeta begins names that AUFS kept for itself (.wh..wh.plnk, .wh..wh.aufs): not files of the image.
	whiteoutMeta = ".wh..wh."
	// https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md#opaque-whiteout
	whiteoutOpaque = ".wh..wh..opq"
)

func (u *unpacker) entry(hdr *tar.Header, body io.Reader) error {
	if hdr.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	u.result.Entries++
	if u.result.Entries > u.limits.Entries {
		return fmt.Errorf("%w of %d entries", ErrLimit, u.limits.Entries)
	}
	name, err := cleanName(hdr.Name)
	if err != nil {
		return err
	}
	if name == "." {
		if hdr.Typeflag != tar.TypeDir {
			// A symbolic link in the root's place is CVE-2021-29136.
			return fmt.Errorf("%w: the root of a layer must be a directory", ErrInvalid)
		}
		u.result.Root = true
		return u.tree.root(attributes(hdr))
	}

	dir, base := path.Split(name)
	if strings.HasPrefix(base, whiteoutPrefix) {
		return u.whiteout(dir, base)
	}
	parent, err := u.tree.parent(dir)
	if err != nil {
		return err
	}
	at := place{parent, base}
	attr := attributes(hdr)
	if err := attr.check(); err != nil {
		return err
	}
	if hdr.Typeflag == tar.TypeDir {
		return u.tree.mkdir(at, attr)
	}
	if err := u.tree.clear(at); err != nil {
		return err
	}
	switch hdr.Typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		if hdr.Size > u.limits.Bytes-u.result.Bytes {
			return fmt.Errorf("%w of %d bytes", ErrLimit, u.limits.Bytes)
		}
		u.result.Bytes += hdr.Size
		if u.contents != nil && !isSparse(hdr) {
			u.contents.Begin(at.path(), hdr.Size)
			defer u.contents.End()
		}
		return u.tree.file(at, attr, hdr.Size, body, u.buf)
	case tar.TypeLink:
		target, err := cleanName(hdr.Linkname)
		if err != nil {
			return err
		}
		made, err := u.tree.link(at, target)
		if err == nil && !made {
			u.result.Links = append(u.result.Links, Link{Path: path.Join(parent.path, base), Target: target})
		}
		return err
	case tar.TypeSymlink:
		return u.tree.symlink(at, attr, hdr.Linkname)
	case tar.TypeChar:
		return u.tree.node(at, attr, unix.S_IFCHR, device(hdr))
	case tar.TypeBlock:
		return u.tree.node(at, attr, unix.S_IFBLK, device(hdr))
	case tar.TypeFifo:
		return u.tree.node(at, attr, unix.S_IFIFO, 0)
	}
	return fmt.Errorf("%w: entry of type %q", ErrInvalid, hdr.Typeflag)
}

// isSparse says whether the content stands in the stream without its holes.
func isSparse(hdr *tar.Header) bool {
	if hdr.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range hdr.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func (u *unpacker) whiteout(dir, base string) error {
	switch {
	case base == whiteoutOpaque:
		parent, err := u.tree.parent(dir)
		if err != nil {
			return err
		}
		return u.tree.setOpaque(parent)
	case strings.HasPrefix(base, whiteoutMeta):
		return nil
	}
	hidden := strings.TrimPrefix(base, whiteoutPrefix)
	if hidden == "" || hidden == "." || hidden == ".." {
		return fmt.Errorf("%w: whiteout of nothing", ErrInvalid)
	}
	parent, err := u.tree.parent(dir)
	if err != nil {
		return err
	}
	return u.tree.whiteout(place{parent, hidden})
}

// cleanName makes a name of the stream relative to the root; ".." cannot climb above it.
func cleanName(name string) (string, error) {
	if strings.IndexByte(name, 0) >= 0 {
		return "", fmt.Errorf("%w: name with a NUL byte", ErrInvalid)
	}
	clean := path.Clean("/" + name)[1:]
	if clean == "" {
		return ".", nil
	}
	if len(clean) >= unix.PathMax {
		return "", fmt.Errorf("%w: name of %d bytes, which no container could open (at most %d)", ErrInvalid, len(clean), unix.PathMax-1)
	}
	return clean, nil
}

// attr is what an entry says of its inode.
type attr struct {
	uid, gid int
	mode     uint32 // permission bits with setuid, setgid and sticky
	atime    time.Time
	mtime    time.Time
	xattrs   map[string]string
}

const paxXattr = "SCHILY.xattr."

func attributes(hdr *tar.Header) attr {
	a := attr{uid: hdr.Uid, gid: hdr.Gid, mode: uint32(hdr.Mode) & 0o7777, atime: hdr.AccessTime, mtime: hdr.ModTime}
	if a.atime.IsZero() {
		a.atime = a.mtime
	}
	for key, value := range hdr.PAXRecords {
		if name, ok := strings.CutPrefix(key, paxXattr); ok && keepXattr(name) {
			if a.xattrs == nil {
				a.xattrs = make(map[string]string)
			}
			a.xattrs[name] = value
		}
	}
	return a
}

func (a attr) check() error {
	// -1 means "leave it" to chown(2).
	if a.uid < 0 || a.gid < 0 || int64(a.uid) >= math.MaxUint32 || int64(a.gid) >= math.MaxUint32 {
		return fmt.Errorf("%w: owner %d:%d", ErrInvalid, a.uid, a.gid)
	}
	return nil
}

// keepXattr leaves out what a layer must not say: overlayfs's own attributes would let it redirect a
// directory or turn a file into something else, and an SELinux label is the host's.
func keepXattr(name string) bool {
	switch {
	case name == "" || strings.IndexByte(name, 0) >= 0:
		return false
	case strings.HasPrefix(name, "trusted.overlay."), strings.HasPrefix(name, "user.overlay."):
		return false
	case name == "security.selinux":
		return false
	}
	return true
}

func device(hdr *tar.Header) uint64 {
	return unix.Mkdev(uint32(hdr.Devmajor), uint32(hdr.Devminor))
}

// pathError names the path inside the layer, not the place where it happens to be unpacked.
func pathError(op, name string, err error) error {
	return &os.PathError{Op: op, Path: "/" + name, Err: err}
}
