package treecopy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/internal/treecopy"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m)) }

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func copyTree(t *testing.T, from, to string, o treecopy.Options) error {
	t.Helper()
	must(t, os.MkdirAll(to, 0o700))
	src, err := os.Open(from)
	must(t, err)
	defer src.Close()
	dst, err := os.Open(to)
	must(t, err)
	defer dst.Close()
	return treecopy.Copy(int(src.Fd()), int(dst.Fd()), o)
}

// facts are a line for each file below dir: all that a copy is to have, and which names are one file.
func facts(t *testing.T, dir string) []string {
	t.Helper()
	first := map[uint64]string{}
	var out []string
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		must(t, unix.Lstat(path, &st))
		name, _ := filepath.Rel(dir, path)
		line := fmt.Sprintf("%s %o %d:%d %d %d", name, st.Mode, st.Uid, st.Gid, st.Rdev, st.Mtim.Nano())
		switch {
		case e.Type()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			must(t, err)
			line += " -> " + to
		case e.Type().IsRegular():
			text, err := os.ReadFile(path)
			must(t, err)
			line += fmt.Sprintf(" %d bytes, %x", len(text), text[:min(8, len(text))])
			if st.Nlink > 1 && first[st.Ino] != "" {
				line += " = " + first[st.Ino]
			} else {
				first[st.Ino] = name
			}
		}
		for _, x := range []string{"user.a", "trusted.b", "security.capability"} {
			b := make([]byte, 64)
			if n, err := unix.Lgetxattr(path, x, b); err == nil {
				line += fmt.Sprintf(" %s=%x", x, b[:n])
			}
		}
		out = append(out, line)
		return nil
	}))
	slices.Sort(out)
	return out
}

// tree makes one of each kind of file in dir.
func tree(t *testing.T, dir string) {
	t.Helper()
	in := func(n string) string { return filepath.Join(dir, n) }
	must(t, os.MkdirAll(in("d/e"), 0o755), os.WriteFile(in("d/f"), []byte("text"), 0o640), os.WriteFile(in("empty"), nil, 0o400), os.Symlink("../../outside", in("d/link")),
		os.Link(in("d/f"), in("d/e/same")), os.Link(in("d/f"), in("z")), unix.Mkfifo(in("pipe"), 0o600), unix.Mknod(in("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	must(t, os.Lchown(in("d/f"), 5, 6), os.Lchown(in("d/link"), 7, 8), os.Lchown(in("d"), 9, 10), os.Chmod(in("d/f"), 0o4750), os.Chmod(in("d/e"), 0o1777))
	_ = unix.Setxattr(in("d/f"), "user.a", []byte("x"), 0) // tmpfs has none before Linux 6.6
	_ = unix.Setxattr(in("d"), "trusted.b", []byte("y"), 0)
	big, err := os.Create(in("sparse"))
	must(t, err)
	_, err = big.WriteAt([]byte("end"), 64<<20)
	must(t, err, big.Truncate(65<<20), big.Close())
	for i, n := range []string{"d/f", "sparse", "d/e", "d", "."} {
		at := time.Unix(1e9+int64(i), 123456789)
		must(t, os.Chtimes(in(n), at, at))
	}
}

func TestCopyIsTheSame(t *testing.T) {
	sandbox.Require(t)
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	must(t, os.MkdirAll(from, 0o711))
	tree(t, from)
	must(t, copyTree(t, from, to, treecopy.Options{}))
	want := facts(t, from)
	if got := facts(t, to); !slices.Equal(got, want) {
		t.Errorf("the copy is\n%s\nand it was\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(want) != 11 {
		t.Errorf("the tree has %d files", len(want))
	}
	var st unix.Stat_t
	must(t, unix.Stat(filepath.Join(to, "sparse"), &st))
	if took := st.Blocks * 512; took > 8<<20 {
		t.Errorf("65 MiB with 3 bytes in them take %d bytes", took)
	}
	// What is gone on with stays as it is.
	must(t, os.WriteFile(filepath.Join(to, "empty"), []byte("written since"), 0o600), os.Remove(filepath.Join(to, "z")))
	must(t, copyTree(t, from, to, treecopy.Options{}))
	if text, _ := os.ReadFile(filepath.Join(to, "empty")); string(text) != "written since" {
		t.Errorf("it has taken %q for what was written since", text)
	}
	if _, err := os.Lstat(filepath.Join(to, "z")); err != nil {
		t.Error("what was missing is missing still")
	}
}

func TestCopyEnds(t *testing.T) {
	sandbox.Require(t)
	from := t.TempDir()
	tree(t, from)
	n, enough := 0, errors.New("enough")
	err := copyTree(t, from, filepath.Join(t.TempDir(), "to"), treecopy.Options{Go: func() error {
		if n++; n > 3 {
			return enough
		}
		return nil
	}})
	if !errors.Is(err, enough) || n != 4 {
		t.Errorf("%v after %d", err, n)
	}
}

// TestCopySharesBlocks: where the file system can, a copy takes no room.
func TestCopySharesBlocks(t *testing.T) {
	sandbox.Require(t)
	mkfs, mount := sandbox.Tool(t, "mkfs.btrfs"), sandbox.Tool(t, "mount")
	top := t.TempDir()
	disk := filepath.Join(top, "disk")
	f, err := os.Create(disk)
	must(t, err, f.Truncate(256<<20), f.Close())
	if out, err := exec.Command(mkfs, "-q", disk).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	at := filepath.Join(top, "at")
	must(t, os.Mkdir(at, 0o700))
	if out, err := exec.Command(mount, "-o", "loop", disk, at).CombinedOutput(); err != nil {
		t.Skipf("SKIP: this machine mounts no btrfs: %v: %s", err, out)
	}
	t.Cleanup(func() { unix.Unmount(at, 0) })
	from := filepath.Join(at, "from")
	must(t, os.Mkdir(from, 0o700))
	text := make([]byte, 64<<20)
	for i := range text {
		text[i] = byte(i * i >> 7)
	}
	must(t, os.WriteFile(filepath.Join(from, "f"), text, 0o600))
	free := func() int64 {
		d, err := os.Open(at)
		must(t, err)
		defer d.Close()
		var st unix.Statfs_t
		must(t, unix.Syncfs(int(d.Fd())), unix.Statfs(at, &st))
		return int64(st.Bfree) * st.Bsize
	}
	before := free()
	must(t, copyTree(t, from, filepath.Join(at, "to"), treecopy.Options{}))
	if took := before - free(); took > 4<<20 {
		t.Errorf("a copy of 64 MiB takes %d bytes", took)
	}
	if got, err := os.ReadFile(filepath.Join(at, "to", "f")); err != nil || !bytes.Equal(got, text) {
		t.Errorf("the copy has %d bytes, %v", len(got), err)
	}
}

// A file that an earlier copy into the tree was killed over is no file of it, and in nobody's way.
func TestCopyLeavesPartsOut(t *testing.T) {
	sandbox.Require(t)
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "to")
	must(t, os.WriteFile(filepath.Join(from, ".stack-copyup"), []byte("half"), 0o600), os.WriteFile(filepath.Join(from, "z"), []byte("whole"), 0o600), os.WriteFile(filepath.Join(from, "a"), []byte("whole"), 0o600))
	must(t, copyTree(t, from, to, treecopy.Options{}))
	names, err := os.ReadDir(to)
	must(t, err)
	if len(names) != 2 {
		t.Errorf("the copy has %v", names)
	}
}

// TestCopyOfADeepTree: who nests directories for as long as it likes gets an error, and neither the descriptors nor the memory of who copies.
func TestCopyOfADeepTree(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	fd, err := unix.Open(from, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	for range unix.PathMax { // "d/" is two bytes of a path
		must(t, unix.Mkdirat(fd, "d", 0o700))
		next, err := treecopy.OpenDir(fd, "d")
		must(t, err, unix.Close(fd))
		fd = next
	}
	must(t, unix.Close(fd))
	if err := copyTree(t, from, to, treecopy.Options{}); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("%v", err)
	}
}

func TestCopyOnAFullDisk(t *testing.T) {
	sandbox.Require(t)
	from, to := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(filepath.Join(from, "f"), bytes.Repeat([]byte("x"), 1<<20), 0o600))
	must(t, unix.Mount("tmpfs", to, "tmpfs", 0, "size=256k"))
	t.Cleanup(func() { unix.Unmount(to, unix.MNT_DETACH) })
	err := copyTree(t, from, to, treecopy.Options{})
	var failed *treecopy.Error
	if !errors.Is(err, unix.ENOSPC) || !errors.As(err, &failed) || failed.Path != "/f" {
		t.Errorf("%v", err)
	}
}
