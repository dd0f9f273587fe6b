package rootfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strconv"
	"strings"
)

// maxDatabase bounds /etc/passwd and /etc/group, which the image writes (CVE-2024-9676).
const maxDatabase = 1 << 20

// Owner finds out who "user", "user:group", "1000" or "1000:1000" are in the root's own /etc/passwd and /etc/group. Without a
// group it is, as docker has it, the user's own for a name and the number itself for a number.
func (r *Root) Owner(spec string) (uid, gid int, err error) {
	user, group, hasGroup := strings.Cut(spec, ":")
	passwd, err := r.database("/etc/passwd")
	if err != nil {
		return 0, 0, err
	}
	uid, isNumber := number(user)
	gid = uid
	if !isNumber {
		fields := find(passwd, user, 7)
		if fields == nil {
			return 0, 0, fmt.Errorf("there is no user %q in /etc/passwd", user)
		}
		var ok, ok2 bool
		uid, ok = number(fields[2])
		gid, ok2 = number(fields[3])
		if !ok || !ok2 {
			return 0, 0, fmt.Errorf("the entry of user %q in /etc/passwd is not valid", user)
		}
	}
	if !hasGroup || group == "" {
		return uid, gid, nil
	}
	if n, ok := number(group); ok {
		return uid, n, nil
	}
	groups, err := r.database("/etc/group")
	if err != nil {
		return 0, 0, err
	}
	fields := find(groups, group, 4)
	if fields == nil {
		return 0, 0, fmt.Errorf("there is no group %q in /etc/group", group)
	}
	n, ok := number(fields[2])
	if !ok {
		return 0, 0, fmt.Errorf("the entry of group %q in /etc/group is not valid", group)
	}
	return uid, n, nil
}

// number reads an id. The largest one means "leave it" to chown(2).
func number(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return int(n), err == nil && n < math.MaxUint32
}

// find returns the fields of the line whose first is name.
func find(database []byte, name string, n int) []string {
	for line := range bytes.Lines(database) {
		fields := strings.Split(strings.TrimRight(string(line), "\r\n"), ":")
		if fields[0] == name && len(fields) >= min(n, 4) {
			return fields
		}
	}
	return nil
}

// database reads a small regular file. One that is not there is empty.
func (r *Root) database(name string) ([]byte, error) {
	canonical, exists, err := r.Resolve(name)
	if err != nil || exists < depth(canonical) {
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	f, st, err := r.OpenFile(canonical)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s, expected a regular file: %w", name, err)
	}
	defer f.Close()
	if st.Size > maxDatabase {
		return nil, fmt.Errorf("%s has %d bytes; at most %d are read", name, st.Size, maxDatabase)
	}
	return io.ReadAll(io.LimitReader(f, maxDatabase))
}
