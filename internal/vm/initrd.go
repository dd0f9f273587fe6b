package main

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// writeInitrd writes the tree below root as an uncompressed cpio archive in "newc" form, the
// format of Documentation/driver-api/early-userspace/buffer-format.rst. All owners are root.
func writeInitrd(name, root string) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	ino := 0
	entry := func(name string, mode uint32, size int64, body io.Reader) error {
		ino++
		header := fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
			ino, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, len(name)+1, 0)
		if _, err := io.WriteString(w, header+name+"\x00"); err != nil {
			return err
		}
		if err := pad(w, int64(len(header)+len(name)+1)); err != nil {
			return err
		}
		if body != nil {
			if n, err := io.Copy(w, body); err != nil || n != size {
				return fmt.Errorf("%s: %d of %d bytes: %v", name, n, size, err)
			}
		}
		return pad(w, size)
	}
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		info, err := d.Info()
		if err != nil {
			return err
		}
		perm := uint32(info.Mode().Perm())
		switch {
		case d.IsDir():
			return entry(rel, 0o040000|perm, 0, nil)
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(p)
			if err != nil {
				return err
			}
			return entry(rel, 0o120777, int64(len(to)), strings.NewReader(to))
		case info.Mode().IsRegular():
			src, err := os.Open(p)
			if err != nil {
				return err
			}
			defer src.Close()
			return entry(rel, 0o100000|perm, info.Size(), src)
		}
		return fmt.Errorf("%s is neither file, directory nor link", rel)
	})
	if err != nil {
		return err
	}
	if err := entry("TRAILER!!!", 0, 0, nil); err != nil {
		return err
	}
	return w.Flush()
}

// pad fills to a multiple of four after n bytes.
func pad(w io.Writer, n int64) error {
	_, err := w.Write(make([]byte, (4-n%4)%4))
	return err
}
