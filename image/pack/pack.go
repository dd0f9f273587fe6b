package pack

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/image/overlay"
	"github.com/stackrun/stack/image/unpack"
)

// differ writes the stream of one overlay's upper directory, and makes the directory fit to be a layer on the way.
type differ struct {
	ctx    context.Context
	root   string
	below  func(name string) bool // whether a layer below has something at name
	latest time.Time              // no time is after it; zero = no bound
	tar    *tar.Writer
	result unpack.Result
	links  map[uint64]string // first name of an inode that has several
	buf    []byte

	// again: nothing of root is changed: it is a layer already, in which what hides something does so by its own word, or a container's own.
	again bool

	// live: a container writes meanwhile. What goes away under way is left out, and a file is as long as it is when it is opened.
	live bool

	skip func(name string, st *unix.Stat_t) bool // what is left out; nil = nothing
}

// Upper makes upper fit to be a layer, hashes its stream and says what is in it. withRoot: the layer has its own word on its root.
func Upper(ctx context.Context, upper string, withRoot bool, latest time.Time, below func(string) bool) (v1.Hash, unpack.Result, error) {
	sum := sha256.New()
	d := &differ{
		ctx: ctx, root: upper, below: below, latest: latest, tar: tar.NewWriter(sum),
		links: make(map[uint64]string), buf: make([]byte, 256<<10),
	}
	err := d.run(withRoot)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}, d.result, err
}

// Layer writes to w the stream of the layer in root, which Upper has made.
func Layer(ctx context.Context, root string, withRoot bool, w io.Writer) error {
	d := &differ{
		ctx: ctx, root: root, again: true, below: func(string) bool { return true },
		tar: tar.NewWriter(w), links: make(map[uint64]string), buf: make([]byte, 256<<10),
	}
	return d.run(withRoot)
}

// Live writes to w the stream of the upper directory of a container that may run, which is left as it is, and says its digest and how many entries it has. What the container
// writes meanwhile is in it or not. below is as for Upper; what skip is true of is left out.
func Live(ctx context.Context, upper string, withRoot bool, w io.Writer, below func(string) bool, skip func(name string, st *unix.Stat_t) bool) (v1.Hash, int64, error) {
	sum := sha256.New()
	d := &differ{
		ctx: ctx, root: upper, again: true, live: true, below: below, skip: skip,
		tar: tar.NewWriter(io.MultiWriter(sum, w)), links: make(map[uint64]string), buf: make([]byte, 256<<10),
	}
	err := d.run(withRoot)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}, d.result.Entries, err
}

func (d *differ) run(withRoot bool) error {
	var err error
	if withRoot {
		d.result.Root = true
		err = d.entry(".", d.root)
	} else {
		err = d.children(".", d.root)
	}
	if err != nil {
		return err
	}
	return d.tar.Close()
}

// entry writes name and what is below it. It is at full, whose directory is a descriptor (see children).
func (d *differ) entry(name, full string) error {
	if err := d.ctx.Err(); err != nil {
		return context.Cause(d.ctx)
	}
	if len(name) >= unix.PathMax { // nobody could unpack it, and each level has a descriptor
		return &os.PathError{Op: "stat", Path: "/" + name[:64] + "…", Err: unix.ENAMETOOLONG}
	}
	var st unix.Stat_t
	if err := unix.Lstat(full, &st); err != nil {
		return d.failed("stat", name, err)
	}
	base := path.Base(name)
	if overlay.IsWhiteout(&st) {
		return d.mark(path.Join(path.Dir(name), ".wh."+base))
	}
	if strings.HasPrefix(base, ".wh.") {
		return fmt.Errorf("/%s: a layer cannot have a file whose name begins with .wh., which is how it says that one is gone", name)
	}
	if d.skip != nil && d.skip(name, &st) {
		return nil
	}
	if st.Mode&unix.S_IFMT == unix.S_IFSOCK {
		if d.again {
			return nil
		}
		return os.Remove(full) // no layer can hold one; whoever listened there is gone
	}
	if err := d.clamp(full, &st); err != nil {
		return err
	}
	hdr, err := d.header(name, full, &st)
	if err != nil {
		return d.failed("read", name, err)
	}
	var file *os.File
	if hdr.Typeflag == tar.TypeReg {
		if file, err = d.open(full, &st); err != nil {
			return d.failed("open", name, err)
		}
		defer file.Close()
		hdr.Size = st.Size
	}
	if st.Nlink > 1 && hdr.Typeflag != tar.TypeDir && hdr.Typeflag != tar.TypeLink {
		d.links[st.Ino] = name
	}
	d.result.Entries++
	if err := d.tar.WriteHeader(hdr); err != nil {
		return fmt.Errorf("/%s: %w", name, err)
	}
	switch hdr.Typeflag {
	case tar.TypeReg:
		d.result.Bytes += hdr.Size
		return d.content(name, file, hdr.Size)
	case tar.TypeDir:
		return d.directory(name, full, &st)
	}
	return nil
}

func (d *differ) directory(name, full string, st *unix.Stat_t) error {
	if overlay.IsOpaque(full) {
		// overlayfs marks every directory that it makes in a merged one. Where nothing is below, there is nothing to hide.
		if d.below(name) {
			if err := d.mark(path.Join(name, ".wh..wh..opq")); err != nil {
				return err
			}
		} else if !d.again {
			if err := unix.Lremovexattr(full, "trusted.overlay.opaque"); err != nil {
				return &os.PathError{Op: "removexattr", Path: "/" + name, Err: err}
			}
		}
	}
	if err := d.children(name, full); err != nil {
		return err
	}
	if d.again {
		return nil
	}
	// Taking sockets away has changed it.
	times := []unix.Timespec{st.Atim, st.Mtim}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, full, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "utimensat", Path: "/" + name, Err: err}
	}
	return nil
}

// failed is err of doing op to name; nil when it is only that a container has taken name away, or put something else there, since it was looked at.
func (d *differ) failed(op, name string, err error) error {
	if d.live {
		for _, gone := range []error{fs.ErrNotExist, unix.ELOOP, unix.ENOTDIR, unix.ESTALE} {
			if errors.Is(err, gone) {
				return nil
			}
		}
	}
	var at *os.PathError
	if errors.As(err, &at) {
		op, err = at.Op, at.Err // its path is that of a descriptor
	}
	return &os.PathError{Op: op, Path: "/" + name, Err: err}
}

// children writes what is in the directory name, in the order of the names. The directory is opened once, and what is in it reached by the
// descriptor: a container that puts a link in its place meanwhile leads nobody out of its root.
func (d *differ) children(name, full string) error {
	dir, err := os.OpenFile(full, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return d.failed("open", name, err)
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return d.failed("readdir", name, err)
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	in := "/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/"
	for _, e := range entries {
		if err := d.entry(path.Join(name, e.Name()), in+e.Name()); err != nil {
			return err
		}
	}
	return nil
}

// mark writes an empty file by which a layer says that something is hidden.
func (d *differ) mark(name string) error {
	d.result.Entries++
	return d.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, ModTime: time.Unix(0, 0)})
}

// clamp gives full a time that is not after the latest one.
func (d *differ) clamp(full string, st *unix.Stat_t) error {
	if d.latest.IsZero() || !time.Unix(st.Mtim.Unix()).After(d.latest) {
		return nil
	}
	st.Mtim = unix.NsecToTimespec(d.latest.UnixNano())
	st.Atim = st.Mtim
	return unix.UtimesNanoAt(unix.AT_FDCWD, full, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}

func (d *differ) header(name, full string, st *unix.Stat_t) (*tar.Header, error) {
	hdr := &tar.Header{
		Name: name, Mode: int64(st.Mode & 0o7777), Uid: int(st.Uid), Gid: int(st.Gid),
		ModTime: time.Unix(st.Mtim.Sec, 0),
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		hdr.Typeflag, hdr.Name = tar.TypeDir, name+"/"
	case unix.S_IFLNK:
		target, err := os.Readlink(full)
		if err != nil {
			return nil, err
		}
		hdr.Typeflag, hdr.Linkname = tar.TypeSymlink, target
	case unix.S_IFCHR, unix.S_IFBLK:
		hdr.Typeflag = tar.TypeChar
		if st.Mode&unix.S_IFMT == unix.S_IFBLK {
			hdr.Typeflag = tar.TypeBlock
		}
		hdr.Devmajor, hdr.Devminor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	case unix.S_IFIFO:
		hdr.Typeflag = tar.TypeFifo
	default:
		hdr.Typeflag, hdr.Size = tar.TypeReg, st.Size
	}
	if st.Nlink > 1 && hdr.Typeflag != tar.TypeDir {
		if first, ok := d.links[st.Ino]; ok {
			hdr.Typeflag, hdr.Linkname, hdr.Size = tar.TypeLink, first, 0
			return hdr, nil
		}
	}
	xattrs, err := overlay.Xattrs(full)
	if err != nil {
		return nil, err
	}
	for key, value := range xattrs {
		if hdr.PAXRecords == nil {
			hdr.PAXRecords = make(map[string]string)
		}
		hdr.PAXRecords["SCHILY.xattr."+key] = string(value)
	}
	return hdr, nil
}

// open opens the file that st is of, for reading, and gives st its size by now. What is there is no other: it would be written under the wrong header.
func (d *differ) open(full string, st *unix.Stat_t) (*os.File, error) {
	const flags = os.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK // a pipe has nobody at its other end
	f, err := os.OpenFile(full, flags|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) { // O_NOATIME wants the owner or CAP_FOWNER
		f, err = os.OpenFile(full, flags, 0)
	}
	if err != nil {
		return nil, err
	}
	var now unix.Stat_t
	if err = unix.Fstat(int(f.Fd()), &now); err == nil && (now.Ino != st.Ino || now.Mode&unix.S_IFMT != unix.S_IFREG) {
		err = unix.ESTALE
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	st.Size = now.Size
	return f, nil
}

// content writes size bytes of f: with zeros, as tar(1), where a container has made it shorter meanwhile.
func (d *differ) content(name string, f io.Reader, size int64) error {
	if d.live {
		f = io.LimitReader(f, size)
	}
	// Without the methods by which io.Copy would find another way: the buffer is large for the sake of the hash.
	n, err := io.CopyBuffer(struct{ io.Writer }{d.tar}, struct{ io.Reader }{f}, d.buf)
	if err == nil && d.live && n < size {
		_, err = io.CopyN(d.tar, zeros{}, size-n)
	}
	if err != nil {
		return fmt.Errorf("/%s: %w", name, err)
	}
	return nil
}

// zeros is without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
