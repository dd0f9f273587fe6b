package single

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/runtime"
)

// ownerOf is the user that c's process has, by c's own /etc/passwd and /etc/group.
func (cs *Containers) ownerOf(ctx context.Context, c *inventory.Container) (runtime.Owner, error) {
	return owner(c.Config.Spec.Process.User.Username, func(path, name string) (fields []string, err error) {
		err = cs.readFile(ctx, c, path, func(file io.Reader) error {
			fields, err = entry(file, name)
			return err
		})
		return fields, err
	})
}

// owner is whose files USER[:GROUP] makes. Without a USER that is root; a number that is not in the files is itself, and with no GROUP its group is root's.
// look finds the entry of a name or number in a file; nil = it is not there. ErrNotFound: a name is in no file.
func owner(text string, look func(path, name string) ([]string, error)) (o runtime.Owner, err error) {
	user, group, _ := strings.Cut(text, ":")
	if user != "" {
		fields, err := look("/etc/passwd", user)
		switch {
		case err != nil:
			return o, err
		case len(fields) > 3:
			if o.UID, err = strconv.Atoi(fields[2]); err == nil {
				o.GID, err = strconv.Atoi(fields[3])
			}
		default:
			o.UID, err = strconv.Atoi(user)
		}
		if err != nil {
			return o, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("user %q is not in its /etc/passwd", user))
		}
	}
	if group == "" {
		return o, nil
	}
	fields, err := look("/etc/group", group)
	if err != nil {
		return o, err
	}
	number := group
	if fields != nil {
		number = fields[2]
	}
	if o.GID, err = strconv.Atoi(number); err != nil {
		return o, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("group %q is not in its /etc/group", group))
	}
	return o, nil
}

// maxUserFile bounds how much of a file of users is read, bytes.
const maxUserFile = 1 << 20

// entry is the line of passwd(5) or group(5) that has name as its first field, or as its third, which is the number; nil when there is none.
func entry(file io.Reader, name string) ([]string, error) {
	lines := bufio.NewScanner(io.LimitReader(file, maxUserFile))
	for lines.Scan() {
		if f := strings.Split(lines.Text(), ":"); len(f) > 2 && (f[0] == name || f[2] == name) {
			return f, nil
		}
	}
	return nil, lines.Err()
}

// readFile has read read a file of c; not called: there is none.
func (cs *Containers) readFile(ctx context.Context, c *inventory.Container, path string, read func(io.Reader) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, feed := io.Pipe()
	defer in.Close()
	go func() {
		feed.CloseWithError(cs.drivers.Containers.CopyOut(ctx, c.ID, runtime.CopyOut{Path: path, Follow: true}, feed))
	}()
	file := tar.NewReader(in)
	if _, err := file.Next(); err != nil {
		if errors.Is(err, errdefs.ErrNotFound) || errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	return read(file)
}
