package build_test

import (
	"fmt"
	"io"
	"path"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/build/rootfs"
)

// listing is what there is below dir.
func listing(t testing.TB, root *rootfs.Root, dir string) []string {
	t.Helper()
	canonical, _, err := root.Resolve(dir)
	must(t, err)
	var out []string
	must(t, root.Walk(canonical, func(rel string, st *unix.Stat_t) (bool, error) {
		name := path.Join(canonical, rel)
		line := fmt.Sprintf("%04o %d:%d /%s", st.Mode&0o7777, st.Uid, st.Gid, name)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			line += "/"
		case unix.S_IFLNK:
			target, err := root.Readlink(name)
			must(t, err)
			line = fmt.Sprintf("%d:%d /%s -> %s", st.Uid, st.Gid, name, target)
		case unix.S_IFREG:
			f, _, err := root.OpenFile(name)
			must(t, err)
			b, err := io.ReadAll(io.LimitReader(f, 60))
			f.Close()
			must(t, err)
			line += fmt.Sprintf(" = %s", b)
		default:
			line += fmt.Sprintf(" kind %o", st.Mode&unix.S_IFMT)
		}
		out = append(out, line)
		return true, nil
	}))
	return out
}
