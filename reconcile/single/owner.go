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

// ownerOf is the user that c's process has, by c's own /etc/passwd and /etc/group. A number that is not there is itself, with root's group.
func (cs *Containers) ownerOf(ctx context.Context, c *inventory.Container) (runtime.Owner, error) {
	user, group, grouped := strings.Cut(c.Config.Spec.Process.User.Username, ":")
	var o runtime.Owner
	fields, err := cs.entryOf(ctx, c, "/etc/passwd", user, 2)
	switch {
	case err != nil:
		return o, err
	case fields != nil && len(fields) > 3:
		if o.UID, err = strconv.Atoi(fields[2]); err == nil {
			o.GID, err = strconv.Atoi(fields[3])
		}
	case user != "":
		o.UID, err = strconv.Atoi(user)
	}
	if err != nil {
		return o, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("user %q is not in its /etc/passwd", user))
	}
	if !grouped || group == "" {
		return o, nil
	}
	if fields, err = cs.entryOf(ctx, c, "/etc/group", group, 2); err != nil {
		return o, err
	}
	if len(fields) > 2 {
		group = fields[2]
	}
	if o.GID, err = strconv.Atoi(group); err != nil {
		return o, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("group %q is not in its /etc/group", group))
	}
	return o, nil
}

// maxUserFile bounds how much of a file of users is read, bytes.
const maxUserFile = 1 << 20

// entryOf is the line of a file as passwd(5) has them whose first field is name, or whose field number is; nil when there is none, or no file.
func (cs *Containers) entryOf(ctx context.Context, c *inventory.Container, path, name string, number int) ([]string, error) {
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
			return nil, nil
		}
		return nil, err
	}
	lines := bufio.NewScanner(io.LimitReader(file, maxUserFile))
	for lines.Scan() {
		if f := strings.Split(lines.Text(), ":"); len(f) > number && (f[0] == name || f[number] == name) {
			return f, nil
		}
	}
	return nil, lines.Err()
}
