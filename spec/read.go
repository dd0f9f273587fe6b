package spec

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

var errNoFile = errors.New("no such file")

// readFile reads a regular file of at most max bytes. Anything that could block or
// never end (pipes, devices) is refused, but for /dev/null, which is empty.
func readFile(fsys fs.FS, file string, max int64) ([]byte, error) {
	if file == "/dev/null" {
		return nil, nil
	}
	name := fsPath(file)
	info, err := fs.Stat(fsys, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errNoFile
	case errors.Is(err, fs.ErrPermission):
		return nil, errors.New("permission denied")
	case err != nil:
		return nil, plainError(err)
	case info.IsDir():
		return nil, errors.New("it is a directory")
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("it is not a regular file (%s)", info.Mode().Type())
	case info.Size() > max:
		return nil, fmt.Errorf("it has %d bytes, the limit is %d", info.Size(), max)
	}
	f, err := fsys.Open(name)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return nil, errors.New("permission denied")
		}
		return nil, plainError(err)
	}
	defer f.Close()
	// The file may grow between the two calls.
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, plainError(err)
	}
	if int64(len(data)) > max {
		return nil, fmt.Errorf("it has more than %d bytes", max)
	}
	return data, nil
}

// plainError drops operation and path, which the message around it names.
func plainError(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// fsPath is an absolute path as io/fs wants it.
func fsPath(file string) string {
	p := strings.TrimPrefix(path.Clean(file), "/")
	if p == "" {
		return "."
	}
	return p
}

func exists(fsys fs.FS, file string) bool {
	_, err := fs.Stat(fsys, fsPath(file))
	return err == nil
}

// absolute resolves p against dir; a leading ~ is home.
func absolute(dir, p, home string) string {
	switch {
	case (p == "~" || strings.HasPrefix(p, "~/")) && home != "":
		return path.Join(home, p[1:])
	case path.IsAbs(p):
		return path.Clean(p)
	}
	return path.Join(dir, p)
}

// located is absolute for paths that the project keeps: one that is absolute already stays as written.
func located(dir, p, home string) string {
	if path.IsAbs(p) || onWindows(p) {
		return p
	}
	return absolute(dir, p, home)
}

// onWindows says whether p starts with a drive of Windows.
func onWindows(p string) bool {
	return len(p) > 2 && p[1] == ':' && p[2] == '\\' && ('a' <= p[0]|0x20 && p[0]|0x20 <= 'z')
}

func itoa(i int) string { return strconv.Itoa(i) }
