package console

import (
	"os"
	"path/filepath"

	"github.com/stackrun/stack/internal/atomicfile"
)

// WriteOutput puts data, which is for its owner alone, where --output says: - is stdout. A file is made, or replaced in one step; what a symlink leads to is
// meant, and what is no file, a device or a pipe, is written to as it is.
func (c *Console) WriteOutput(path string, data []byte, sync atomicfile.Durability) error {
	if path == "-" {
		_, err := c.Out.Write(data)
		return err
	}
	if to, err := filepath.EvalSymlinks(path); err == nil {
		path = to
	}
	if info, err := os.Stat(path); err != nil || info.Mode().IsRegular() {
		return atomicfile.Write(path, data, 0o600, sync)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Close()
}
