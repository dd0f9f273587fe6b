package tree

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Sum is what a file has in it; the zero Sum is not known.
type Sum [sha256.Size]byte

type kind uint8

const (
	file kind = iota
	link
	dir
)

// node is something in the tree as it was seen last.
type node struct {
	kind kind

	// Of files. A stamp that is the same says that the content is, unless the file had been written to just before it was read.
	stamp stamp
	sum   Sum
	read  time.Time // when sum was made

	to string // of links

	kids   map[string]*node // of directories
	polled bool             // of directories: nobody tells of changes
}

// stamp is what of stat(2) a change of content changes, and more.
type stamp struct {
	size, mtime, ctime int64
	inode              uint64
}

// alike is for files that are not read: they may be moved, and get another mode.
func (s stamp) alike(o stamp) bool { return s.size == o.size && s.mtime == o.mtime }

func stampOf(info fs.FileInfo) stamp {
	s := stamp{size: info.Size(), mtime: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.ctime, s.inode = st.Ctim.Nano(), st.Ino
	}
	return s
}

// granularity is how coarse the times of a file system may be: a file that is changed twice within it may have one and the same.
const granularity = 2 * time.Second

// fresh says whether a file with stamp s has the content that n was read with.
func (n *node) fresh(s stamp) bool {
	return n.stamp == s && n.read.Sub(time.Unix(0, s.mtime)) > granularity
}

// largest is up to which size, bytes, files are read to know whether they are the same. Of larger ones size and time decide.
const largest = 32 << 20

// sumOf reads the regular file at path, and says what it was when that began.
func sumOf(path string) (Sum, stamp, error) {
	// O_NONBLOCK: a pipe may have taken the file's place.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return Sum{}, stamp{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Sum{}, stamp{}, err
	}
	if !info.Mode().IsRegular() {
		return Sum{}, stamp{}, fs.ErrNotExist // a moment ago it was one: whoever has changed it tells so
	}
	s := stampOf(info)
	if s.size > largest {
		return Sum{}, s, nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, largest)); err != nil {
		return Sum{}, s, err
	}
	return Sum(h.Sum(nil)), s, nil
}

// isGone says whether err is that nothing, or something else, is there.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}
