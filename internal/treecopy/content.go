package treecopy

import (
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/rawfd"
)

// content copies bytes: by sharing blocks, else stretch by stretch of what is no hole, else as they come.
func (c *copier) content(src, dst int, size int64) error {
	if size == 0 {
		return c.readWrite(src, dst) // empty, or a file of unknown size
	}
	if unix.IoctlFileClone(dst, src) == nil {
		return nil
	}
	for at := int64(0); ; {
		from, err := unix.Seek(src, at, unix.SEEK_DATA)
		if err == unix.ENXIO { // the rest is a hole
			break
		}
		if err != nil { // the file system does not say
			return c.plain(src, dst)
		}
		end, err := unix.Seek(src, from, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if err := c.stretch(src, dst, from, end); err != nil {
			return err
		}
		at = end
	}
	var now unix.Stat_t
	if err := unix.Fstat(src, &now); err != nil {
		return err
	}
	var have unix.Stat_t
	if err := unix.Fstat(dst, &have); err != nil {
		return err
	}
	if have.Size < now.Size {
		return unix.Ftruncate(dst, now.Size)
	}
	return nil
}

// stretch copies what is from from to end, in the kernel where both file systems can.
func (c *copier) stretch(src, dst int, from, end int64) error {
	for from < end {
		to := from
		n, err := unix.CopyFileRange(src, &from, dst, &to, int(min(end-from, 1<<30)), 0)
		switch {
		case err == unix.EINTR:
		case err != nil && !cannot(err):
			return err
		case err != nil || n == 0:
			return c.readAt(src, dst, from, end)
		}
	}
	return nil
}

// cannot says that the kernel does not copy between these two files (copy_file_range(2)).
func cannot(err error) bool {
	switch err {
	case unix.ENOSYS, unix.EXDEV, unix.EINVAL, unix.EOPNOTSUPP, unix.EBADF, unix.ETXTBSY, unix.EPERM:
		return true
	}
	return false
}

// readAt copies what is from from to end, or to the end of the file if that comes first.
func (c *copier) readAt(src, dst int, from, end int64) error {
	b := c.buffer()
	for from < end {
		n, err := unix.Pread(src, b[:min(int64(len(b)), end-from)], from)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case n == 0:
			return nil
		}
		for chunk := b[:n]; len(chunk) > 0; {
			m, err := unix.Pwrite(dst, chunk, from)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return err
			}
			chunk, from = chunk[m:], from+int64(m)
		}
	}
	return nil
}

func (c *copier) buffer() []byte {
	if c.buf == nil {
		c.buf = make([]byte, 128<<10)
	}
	return c.buf
}

// plain copies all of a file whose file system does not say where its holes are.
func (c *copier) plain(src, dst int) error {
	for copied := false; ; copied = true {
		n, err := unix.CopyFileRange(src, nil, dst, nil, 1<<30, 0)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil && !copied:
			return c.readWrite(src, dst)
		case err != nil:
			return err
		case n == 0 && !copied:
			return c.readWrite(src, dst) // 0 at once is also the answer of files of unknown size
		case n == 0:
			return nil
		}
	}
}

func (c *copier) readWrite(src, dst int) error {
	b := c.buffer()
	for {
		n, err := unix.Read(src, b)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case n == 0:
			return nil
		}
		if err := rawfd.WriteAll(dst, b[:n]); err != nil {
			return err
		}
	}
}
