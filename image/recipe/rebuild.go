package recipe

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// Rebuild writes to w the stream that the recipe r tells of, with the files below the directory root. No path of the recipe can mean a file
// outside of root, nor lead through a link. ErrDiffers when a file is not as the recipe says; w has got a part of the stream then.
// That the stream is the layer's is for the caller to see by its digest.
func Rebuild(ctx context.Context, w io.Writer, r io.Reader, root string) error {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(1<<20))
	if err != nil {
		return err
	}
	defer z.Close()
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	b := rebuilder{in: bufio.NewReaderSize(z, maxLiteral), out: w, root: dir, buf: make([]byte, 256<<10)}
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if more, err := b.record(); err != nil || !more {
			return err
		}
	}
}

type rebuilder struct {
	in   *bufio.Reader
	out  io.Writer
	root int
	buf  []byte
}

// record carries out the next one; more is false at the end.
func (b *rebuilder) record() (more bool, err error) {
	kind, err := b.in.ReadByte()
	if err != nil {
		return false, damaged(err)
	}
	switch kind {
	case literal:
		text, err := b.bytes(maxLiteral)
		if err != nil {
			return false, err
		}
		_, err = b.out.Write(text)
		return true, err
	case content:
		size, err := binary.ReadUvarint(b.in)
		if err != nil {
			return false, damaged(err)
		}
		path, err := b.bytes(maxPath)
		if err != nil {
			return false, err
		}
		return true, b.file(string(path), int64(size))
	case end:
		return false, nil
	}
	return false, fmt.Errorf("%w: its recipe has a record of kind %d", ErrDiffers, kind)
}

// bytes reads a length and as many bytes, at most limit. They are good until the next call.
func (b *rebuilder) bytes(limit uint64) ([]byte, error) {
	n, err := binary.ReadUvarint(b.in)
	if err != nil {
		return nil, damaged(err)
	}
	if n > limit {
		return nil, fmt.Errorf("%w: its recipe has a record of %d bytes", ErrDiffers, n)
	}
	if _, err := io.ReadFull(b.in, b.buf[:n]); err != nil {
		return nil, damaged(err)
	}
	return b.buf[:n], nil
}

// damaged is err of reading the recipe, whose end has a record of its own.
func damaged(err error) error { return fmt.Errorf("%w: its recipe is damaged: %w", ErrDiffers, err) }

func (b *rebuilder) file(path string, size int64) error {
	fd, err := unix.Openat2(b.root, path, &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	})
	if err != nil {
		return fmt.Errorf("%w: /%s: %w", ErrDiffers, path, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size != size {
		return fmt.Errorf("%w: /%s is not the file of %d bytes that its stream had there", ErrDiffers, path, size)
	}
	for left := size; left > 0; {
		n, err := unix.Read(fd, b.buf[:min(int64(len(b.buf)), left)])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("/%s: %w", path, err)
		}
		if n == 0 {
			return fmt.Errorf("%w: /%s has become shorter", ErrDiffers, path)
		}
		if _, err := b.out.Write(b.buf[:n]); err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}
