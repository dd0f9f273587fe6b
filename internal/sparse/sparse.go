// Package sparse writes files and leaves holes where there are only zeros.
package sparse

import (
	"bytes"
	"io"

	"golang.org/x/sys/unix"
)

const hole = 64 << 10 // runs of zeros of this length are not written

var zeros [hole]byte

// Write writes size bytes of r to fd, a file that is empty, by way of buf, and leaves holes for long runs of zeros: a sparse file stays
// sparse, and a bomb of zeros costs no disk. An error of r is returned as it is, its end before size as io.ErrUnexpectedEOF.
// A hole that reaches over two fillings of buf is found whole where buf is a multiple of 64 KiB.
func Write(fd int, r io.Reader, size int64, buf []byte) error {
	var at, end int64 // end: how far the file has been written
	for at < size {
		n, err := io.ReadFull(r, buf[:min(int64(len(buf)), size-at)])
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		for chunk := buf[:n]; len(chunk) > 0; {
			part := chunk[:runLength(chunk)]
			chunk = chunk[len(part):]
			if !isHole(part) {
				if err := writeAt(fd, part, at); err != nil {
					return err
				}
				end = at + int64(len(part))
			}
			at += int64(len(part))
		}
	}
	if end < size {
		return unix.Ftruncate(fd, size)
	}
	return nil
}

// runLength returns how many bytes from the start of b belong together: a hole of zeros or data up to
// the next one. Only whole blocks of hole bytes are looked at.
func runLength(b []byte) int {
	if isHole(b) {
		return hole
	}
	n := min(hole, len(b))
	for n < len(b) && !isHole(b[n:]) {
		n = min(n+hole, len(b))
	}
	return n
}

func isHole(b []byte) bool {
	return len(b) >= hole && b[0] == 0 && bytes.Equal(b[:hole], zeros[:])
}

func writeAt(fd int, b []byte, at int64) error {
	for len(b) > 0 {
		n, err := unix.Pwrite(fd, b, at)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		b, at = b[n:], at+int64(n)
	}
	return nil
}
