package archive

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

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
)

// Source is what is read of a tree.
type Source struct {
	// Path begins at the root, whether it begins with a slash or not. Below "PATH/." and "/" it is what is there that is meant and not the
	// directory: entries are named "./", "x", "x/y". Of all else the first entry has the last name of the path, and the others are below that.
	Path string
	// Follow a link that Path ends with. The entry has the link's name all the same.
	Follow bool
	// Rooted names the entries as dockerd does: contents "./", "./x", "./x/y", and those of the root "/", "/x", "/x/y".
	Rooted bool
	// Bare leaves out the entry of the directory whose contents are meant.
	Bare bool
}

// Pack writes what s means of the tree below root as a tar stream. Of what changes meanwhile the stream has what is seen first: a file that becomes
// shorter ends in zeros. warn, which may be nil, is told that, and what is left out: sockets, and the files of the kernel's.
// errdefs.ErrNotFound: there is no such path.
func Pack(ctx context.Context, root *os.File, s Source, w io.Writer, warn func(string)) error {
	if warn == nil {
		warn = func(string) {}
	}
	name, dir, contents := clean(s.Path)
	flags := unix.O_PATH
	if !s.Follow && !dir {
		flags |= unix.O_NOFOLLOW
	}
	if dir {
		flags |= unix.O_DIRECTORY
	}
	fd, err := openat2(int(root.Fd()), name[1:], flags, inRoot)
	if err != nil {
		err = pathError("open", name, err)
		if errors.Is(err, fs.ErrNotExist) {
			err = errdefs.With(errdefs.ErrNotFound, err)
		}
		return err
	}
	p := &packer{ctx: ctx, tar: tar.NewWriter(w), warn: warn, links: map[inode]string{}, buf: make([]byte, 256<<10)}
	at := path.Base(name)
	if contents {
		at = "."
		if s.Rooted && name == "/" {
			at = "/"
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return pathError("stat", name, err)
	}
	if err := refuseKernel(fd, name); err != nil { // a link there says what this process would see, not what one of the container's does
		unix.Close(fd)
		return err
	}
	p.dev, p.bare, p.rooted = st.Dev, s.Bare, s.Rooted
	if isKind(&st, unix.S_IFSOCK) {
		unix.Close(fd)
		return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("%s is a socket, which cannot be copied", quote(name)))
	}
	if err := p.opened(fd, at, &st); err != nil {
		return err
	}
	return p.tar.Close()
}

type inode struct{ dev, ino uint64 }

const (
	// maxPath bounds a name in a tree, bytes, with the zero at its end. Directories can be nested deeper, but no program comes there by a path.
	maxPath = unix.PathMax
	// maxLinks bounds the files of more than one name that are remembered, and maxLinkNames those names, bytes. The names of others become files of their own.
	maxLinks     = 1 << 17
	maxLinkNames = 16 << 20
	// namesAtOnce is how many names of a directory are read before the first of them is used. Those of all directories on the way are held at one time: the
	// deeper one is, the fewer.
	namesAtOnce = 512
	namesDeep   = 8
)

type packer struct {
	ctx   context.Context
	tar   *tar.Writer
	warn  func(string)
	links map[inode]string // first names of files that have several
	named int              // bytes of those names
	depth int              // directories that are open
	buf   []byte
	dev   uint64 // whose files are known not to be the kernel's
	bare  bool
	// rooted is Source.Rooted.
	rooted bool
}

// opened writes what fd, which it takes over, is open for the path of, and what is below it.
func (p *packer) opened(fd int, name string, st *unix.Stat_t) error {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		dir, err := openDir(fd)
		unix.Close(fd)
		if err != nil {
			return pathError("open", name, err)
		}
		return p.directory(dir, name, st)
	case unix.S_IFREG:
		defer unix.Close(fd)
		return p.file(fd, name, st)
	}
	defer unix.Close(fd)
	target := ""
	if isKind(st, unix.S_IFLNK) {
		var err error
		if target, err = readlinkat(fd, ""); err != nil {
			return pathError("readlink", name, err)
		}
	}
	return p.other(name, target, st)
}

// child writes an entry of the directory dir, unless it has gone.
func (p *packer) child(dir int, base, name string) error {
	if err := p.ctx.Err(); err != nil {
		return context.Cause(p.ctx)
	}
	if len(name) >= maxPath {
		return fmt.Errorf("%.64q… is nested deeper than a path can be long: %d bytes", name, maxPath)
	}
	var st unix.Stat_t
	err := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return pathError("stat", name, err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		p.warn(fmt.Sprintf("%s is a socket, and left out", quote(name)))
		return nil
	case unix.S_IFLNK:
		target, err := readlinkat(dir, base)
		if err == unix.ENOENT || err == unix.EINVAL {
			return nil // it is gone, or something else by now
		}
		if err != nil {
			return pathError("readlink", name, err)
		}
		return p.other(name, target, &st)
	case unix.S_IFDIR, unix.S_IFREG:
		fd, err := unix.Openat(dir, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT {
			return nil
		}
		if err == nil {
			if err = unix.Fstat(fd, &st); err != nil {
				unix.Close(fd)
			}
		}
		if err != nil {
			return pathError("open", name, err)
		}
		if k := st.Mode & unix.S_IFMT; k == unix.S_IFSOCK {
			unix.Close(fd)
			return nil
		}
		return p.opened(fd, name, &st)
	}
	return p.other(name, "", &st)
}

// foreign says whether fd is of a file system of the kernel's, and tells if so.
func (p *packer) foreign(fd int, name string, st *unix.Stat_t) (bool, error) {
	if st.Dev == p.dev {
		return false, nil
	}
	kind, err := kernelType(fd)
	if err != nil {
		return false, pathError("statfs", name, err)
	}
	if kind != "" {
		p.warn(fmt.Sprintf("%s is on a file system of type %s, whose files are the kernel's: they are left out", quote(name), kind))
		return true, nil
	}
	p.dev = st.Dev
	return false, nil
}

// directory takes over dir.
func (p *packer) directory(dir int, name string, st *unix.Stat_t) error {
	f := os.NewFile(uintptr(dir), name)
	defer f.Close()
	foreign, err := p.foreign(dir, name, st)
	if err != nil {
		return err
	}
	if !p.bare {
		h := header(strings.TrimSuffix(name, "/")+"/", st)
		h.Typeflag = tar.TypeDir
		p.attributes(h, dir)
		if err := p.write(h); err != nil {
			return err
		}
	}
	p.bare = false
	if foreign {
		return nil
	}
	prefix := strings.TrimSuffix(name, "/") + "/"
	if name == "." && !p.rooted {
		prefix = ""
	}
	p.depth++
	defer func() { p.depth-- }()
	for {
		names, err := f.Readdirnames(max(namesAtOnce/p.depth, namesDeep))
		for _, base := range names {
			if err := p.child(dir, base, prefix+base); err != nil {
				return err
			}
		}
		if err == io.EOF || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return pathError("read", name, err)
		}
	}
}

// file writes the regular file that look is open for the path of.
func (p *packer) file(look int, name string, st *unix.Stat_t) error {
	if foreign, err := p.foreign(look, name, st); foreign || err != nil {
		return err
	}
	h := header(name, st)
	if first, ok := p.linked(name, st); ok {
		h.Typeflag, h.Linkname = tar.TypeLink, first
		return p.write(h)
	}
	fd, err := reopen(look, unix.O_RDONLY|unix.O_NOATIME)
	if err == unix.EPERM { // O_NOATIME is for owners
		fd, err = reopen(look, unix.O_RDONLY)
	}
	if err != nil {
		return pathError("open", name, err)
	}
	defer unix.Close(fd)
	h.Typeflag, h.Size = tar.TypeReg, st.Size
	p.attributes(h, fd)
	if err := p.write(h); err != nil {
		return err
	}
	return p.content(fd, name, st)
}

// other writes what is neither a file nor a directory.
func (p *packer) other(name, target string, st *unix.Stat_t) error {
	h := header(name, st)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		h.Typeflag, h.Linkname = tar.TypeSymlink, target
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case unix.S_IFCHR, unix.S_IFBLK:
		h.Typeflag = tar.TypeChar
		if isKind(st, unix.S_IFBLK) {
			h.Typeflag = tar.TypeBlock
		}
		h.Devmajor, h.Devminor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	default:
		return nil // it has become a socket
	}
	if h.Typeflag == tar.TypeFifo { // what leaves devices out has nothing to link another name of one to
		if first, ok := p.linked(name, st); ok {
			h.Typeflag, h.Linkname = tar.TypeLink, first
		}
	}
	return p.write(h)
}

// linked is the name that a file with several was written under.
func (p *packer) linked(name string, st *unix.Stat_t) (string, bool) {
	if st.Nlink < 2 {
		return "", false
	}
	id := inode{st.Dev, st.Ino}
	first, ok := p.links[id]
	if !ok && len(p.links) < maxLinks && p.named+len(name) <= maxLinkNames {
		p.links[id] = name
		p.named += len(name)
	}
	return first, ok
}

func (p *packer) write(h *tar.Header) error {
	if err := p.tar.WriteHeader(h); err != nil {
		return fmt.Errorf("%s: %w", quote(h.Name), err)
	}
	return nil
}

func header(name string, st *unix.Stat_t) *tar.Header {
	return &tar.Header{Name: name, Mode: int64(st.Mode & 0o7777), Uid: int(st.Uid), Gid: int(st.Gid), ModTime: time.Unix(st.Mtim.Sec, 0)}
}

const xattrPrefix = "SCHILY.xattr."

// attributes puts the extended attributes that travel into h: the capabilities of programs, and users' own.
func (p *packer) attributes(h *tar.Header, fd int) {
	n, err := unix.Flistxattr(fd, p.buf)
	if err != nil {
		return // a file system without any
	}
	for name := range strings.SplitSeq(string(p.buf[:n]), "\x00") {
		if !travels(name) {
			continue
		}
		n, err := unix.Fgetxattr(fd, name, p.buf) // XATTR_SIZE_MAX is less
		if err != nil {
			continue // gone meanwhile
		}
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[xattrPrefix+name] = string(p.buf[:n])
	}
}

const capability = "security.capability"

// travels says whether an extended attribute is a file's own, and not one of its file system's or of this host's. A record of a tar stream
// has no name with an equals sign.
func travels(name string) bool {
	return name == capability || strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, "user.overlay.") && !strings.Contains(name, "=")
}

// zeros are written for what is not there.
var zeros [64 << 10]byte

// content writes as many bytes as the header has said. Holes are not read.
func (p *packer) content(fd int, name string, st *unix.Stat_t) error {
	size, end := st.Size, st.Size // end: of what is known to be data
	sparse := st.Blocks*512 < st.Size
	for at := int64(0); at < size; {
		if err := p.ctx.Err(); err != nil {
			return context.Cause(p.ctx)
		}
		if sparse {
			data, hole := extent(fd, at, size)
			if err := p.zeros(data-at, name); err != nil {
				return err
			}
			if at, end = data, hole; at == size {
				return nil
			}
		}
		for at < end {
			if err := p.ctx.Err(); err != nil {
				return context.Cause(p.ctx)
			}
			n, err := unix.Pread(fd, p.buf[:min(int64(len(p.buf)), end-at)], at)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return pathError("read", name, err)
			}
			if n == 0 {
				p.warn(fmt.Sprintf("%s became shorter while it was read: from byte %d on its copy is zeros", quote(name), at))
				return p.zeros(size-at, name)
			}
			if _, err := p.tar.Write(p.buf[:n]); err != nil {
				return fmt.Errorf("%s: %w", quote(name), err)
			}
			at += int64(n)
		}
	}
	return nil
}

// extent is where the next data begins at or after at, and where it ends.
func extent(fd int, at, size int64) (data, hole int64) {
	data, err := unix.Seek(fd, at, unix.SEEK_DATA)
	if err == unix.ENXIO {
		return size, size // no more
	}
	if err != nil {
		return at, size // a file system that does not tell
	}
	if hole, err = unix.Seek(fd, data, unix.SEEK_HOLE); err != nil || data < at || hole <= data {
		return at, size // nor does one that says what cannot be: it may be a program of the container's, and this would not come to an end
	}
	return min(data, size), min(hole, size)
}

func (p *packer) zeros(n int64, name string) error {
	for n > 0 {
		if err := p.ctx.Err(); err != nil {
			return context.Cause(p.ctx)
		}
		part := zeros[:min(n, int64(len(zeros)))]
		if _, err := p.tar.Write(part); err != nil {
			return fmt.Errorf("%s: %w", quote(name), err)
		}
		n -= int64(len(part))
	}
	return nil
}

func readlinkat(dir int, name string) (string, error) {
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, b)
	return string(b[:max(n, 0)]), err
}
