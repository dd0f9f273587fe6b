package tree

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/cmd/stack/watch/rule"
	"github.com/stackrun/stack/internal/sandbox"
)

// watched is a tree of a test, with what has changed in it so far.
type watched struct {
	t    *testing.T
	tree *Tree
	dir  string

	mu   sync.Mutex
	seen map[string]string // by path below dir: + or -, with / for a directory
	said []string
}

// everything is a Filter that leaves out what is named so.
type without string

func (w without) Matches(path string) bool {
	return w == "" || !strings.Contains(path+"/", "/"+string(w)+"/")
}
func (w without) Within(dir string) bool { return w.Matches(dir) }

// newWatched is dir with files (name → content), watched from below names on.
func newWatched(t *testing.T, f Filter, o Options, files map[string]string, names ...string) *watched {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{t: t, dir: dir, seen: map[string]string{}}
	for name, content := range files {
		w.write(name, content)
	}
	var roots []string
	for _, name := range names {
		roots = append(roots, filepath.Join(dir, name))
	}
	o.Say = func(text string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.said = append(w.said, text)
	}
	w.tree = Open(roots, f, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			changes, err := w.tree.Next(ctx)
			if err != nil {
				return
			}
			w.take(changes)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		w.tree.Close()
	})
	return w
}

func (w *watched) take(changes []rule.Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range changes {
		rel, err := filepath.Rel(w.dir, c.Path)
		if err != nil {
			w.t.Error(err)
		}
		state := "+"
		if c.Gone {
			state = "-"
		}
		if c.Dir {
			state += "/"
		}
		w.seen[rel] = state
	}
}

// sees waits until exactly want has changed since the last time: "+name", "-name", "+/name" and "-/name" for directories.
func (w *watched) sees(want ...string) {
	w.t.Helper()
	slices.Sort(want)
	var got []string
	defer func() {
		if w.t.Failed() {
			w.t.Logf("got %q, want %q", got, want)
		}
	}()
	sandbox.Eventually(w.t, fmt.Sprintf("the changes are %q", want), func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		got = got[:0]
		for path, state := range w.seen {
			got = append(got, state+path)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return false
		}
		clear(w.seen)
		return true
	})
}

// write replaces a file in one step: nobody sees it half written.
func (w *watched) write(name, content string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	aside, err := os.CreateTemp(w.t.TempDir(), "")
	if err == nil {
		_, err = aside.WriteString(content)
	}
	if err == nil {
		err = errors.Join(aside.Chmod(0o644), aside.Close(), os.MkdirAll(filepath.Dir(path), 0o755))
	}
	if err == nil {
		err = os.Rename(aside.Name(), path)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// overwrite writes into a file that is there.
func (w *watched) overwrite(name, content string) {
	w.t.Helper()
	f, err := os.OpenFile(filepath.Join(w.dir, name), os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(content)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) do(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) path(name string) string { return filepath.Join(w.dir, name) }

// still sees that nothing but a mark of its own has changed.
func (w *watched) still(mark string) {
	w.t.Helper()
	w.write(mark, fmt.Sprint(time.Now().UnixNano()))
	w.sees("+" + mark)
}

// TestChanges: what is written, made and removed is reported, each path once.
func TestChanges(t *testing.T) {
	w := newWatched(t, without(""), Options{}, map[string]string{"src/a": "1", "src/sub/b": "1", "src/sub/deep/c": "1", "beside": "1"}, "src")
	w.overwrite("src/a", "2")
	w.sees("+src/a")
	w.write("src/sub/b", "2") // as editors do that save by rename
	w.sees("+src/sub/b")
	w.write("beside", "2")
	w.write("src/new/x/y/z", "1")
	w.sees("+/src/new", "+/src/new/x", "+/src/new/x/y", "+src/new/x/y/z")
	w.do(os.Remove(w.path("src/a")))
	w.sees("-src/a")
	w.do(os.RemoveAll(w.path("src/sub")))
	w.sees("-/src/sub", "-src/sub/b", "-/src/sub/deep", "-src/sub/deep/c")
	w.write("src/sub/deep/c", "1")
	w.sees("+/src/sub", "+/src/sub/deep", "+src/sub/deep/c")
	w.overwrite("src/sub/deep/c", "2")
	w.sees("+src/sub/deep/c")
}

// TestSameContent: metadata, and writes after which a file has in it what it had, are no changes.
func TestSameContent(t *testing.T) {
	w := newWatched(t, without(""), Options{}, map[string]string{"src/a": "same", "src/b": "1"}, "src")
	w.do(os.Chmod(w.path("src/a"), 0o755))
	w.do(os.Chmod(w.path("src"), 0o700))
	w.still("src/b")
	w.do(os.Chtimes(w.path("src/a"), time.Time{}, time.Unix(1, 0)))
	w.still("src/b")
	w.overwrite("src/a", "same")
	w.still("src/b")
	w.write("src/a", "same")
	w.still("src/b")
	w.do(os.Rename(w.path("src/a"), w.path("aside")))
	w.do(os.Rename(w.path("aside"), w.path("src/a")))
	w.do(os.Mkdir(w.path("src/.b.tmp"), 0o755))
	w.do(os.Remove(w.path("src/.b.tmp")))
	w.write("src/b", "last")
	// A batch that ends between the two would tell of a file that goes and comes: it is there in the end.
	sandbox.Eventually(t, "src/b is told", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.seen["src/b"] == "+" && w.seen["src/a"] != "-"
	})
}

// TestFilter: what is left out is not looked into, and events of it wake nobody.
func TestFilter(t *testing.T) {
	w := newWatched(t, without("node_modules"), Options{}, map[string]string{"src/a": "1", "src/node_modules/m": "1"}, "src")
	w.write("src/node_modules/n", "1")
	w.write("src/lib/node_modules/n", "1")
	w.overwrite("src/node_modules/m", "2")
	w.overwrite("src/a", "2")
	w.sees("+src/a", "+/src/lib")
	if dirs, files := w.tree.count(); dirs != 2 || files != 1 {
		t.Errorf("%d directories and %d files are watched, want 2 and 1", dirs, files)
	}
}

// TestMoved: a directory that is moved is watched under its new name, its subdirectories too.
func TestMoved(t *testing.T) {
	for _, names := range [][2]string{{"src/a", "src/z"}, {"src/z", "src/a"}, {"src/z", "src/in/a"}} {
		t.Run(names[0]+" to "+names[1], func(t *testing.T) {
			w := newWatched(t, without(""), Options{}, map[string]string{names[0] + "/sub/f": "1", "src/in/x": "1"}, "src")
			w.do(os.Rename(w.path(names[0]), w.path(names[1])))
			w.sees("-/"+names[0], "-/"+names[0]+"/sub", "-"+names[0]+"/sub/f", "+/"+names[1], "+/"+names[1]+"/sub", "+"+names[1]+"/sub/f")
			w.overwrite(names[1]+"/sub/f", "2")
			w.sees("+" + names[1] + "/sub/f")
			w.write(names[0]+"/sub/f", "3")
			w.sees("+/"+names[0], "+/"+names[0]+"/sub", "+"+names[0]+"/sub/f")
			w.overwrite(names[1]+"/sub/f", "4")
			w.overwrite(names[0]+"/sub/f", "4")
			w.sees("+"+names[0]+"/sub/f", "+"+names[1]+"/sub/f")
		})
	}
}

// TestLinks: a symbolic link is what it says, and leads nowhere. Pipes are nothing.
func TestLinks(t *testing.T) {
	w := newWatched(t, without(""), Options{}, map[string]string{"out/secret": "1", "src/a": "1"}, "src")
	w.do(os.Symlink("../out", w.path("src/link")))
	w.sees("+src/link")
	w.overwrite("out/secret", "2")
	w.do(unix.Mkfifo(w.path("src/pipe"), 0o644))
	w.still("src/a")
	w.do(os.Symlink("../out", w.path("src/.new")))
	w.do(os.Rename(w.path("src/.new"), w.path("src/link")))
	w.write("src/a", "2")
	sandbox.Eventually(t, "the same link again is no change in the end", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.seen["src/a"] == "+" && w.seen["src/link"] != "-" && w.seen["src/.new"] != "+"
	})
	w.mu.Lock()
	clear(w.seen)
	w.mu.Unlock()
	w.do(os.Remove(w.path("src/link")))
	w.do(os.Mkdir(w.path("src/link"), 0o755))
	w.write("src/link/f", "1")
	sandbox.Eventually(t, "a directory in its place", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.seen["src/link"] == "+/" && w.seen["src/link/f"] == "+"
	})
}

// TestRootThatIsNotThere: a root may come later, with the directories above it, and go and come again. A file may be one.
func TestRootThatIsNotThere(t *testing.T) {
	w := newWatched(t, without(""), Options{}, map[string]string{"conf": "1", "other": "1"}, "a/b/src", "conf")
	w.write("other", "2")
	w.write("a/b/src/f", "1")
	w.sees("+/a/b/src", "+a/b/src/f")
	w.write("conf", "2")
	w.sees("+conf")
	w.do(os.RemoveAll(w.path("a")))
	w.sees("-/a/b/src", "-a/b/src/f")
	w.do(os.Remove(w.path("conf")))
	w.sees("-conf")
	w.write("conf", "3")
	w.sees("+conf")
	w.write("a/b/src/f", "2")
	w.sees("+/a/b/src", "+a/b/src/f")
	w.do(os.Rename(w.path("a/b/src"), w.path("a/b/aside")))
	w.sees("-/a/b/src", "-a/b/src/f")
	w.overwrite("a/b/aside/f", "3")
	w.do(os.Rename(w.path("a/b/aside"), w.path("a/b/src")))
	w.sees("+/a/b/src", "+a/b/src/f")
	w.overwrite("a/b/src/f", "4")
	w.sees("+a/b/src/f")
}

// TestThousands: as many files as a change of branches makes, in directories that are filled at once, and away again. None is lost.
func TestThousands(t *testing.T) {
	w := newWatched(t, without(""), Options{}, map[string]string{"src/a": "1"}, "src")
	want, away := map[string]bool{}, map[string]bool{}
	for i := range 1000 {
		d := fmt.Sprintf("src/d%d/e%d", i%17, i%31)
		for dir := d; dir != "src"; dir = filepath.Dir(dir) {
			want["+/"+dir], away["-/"+dir] = true, true
		}
		name := fmt.Sprintf("%s/f%d", d, i)
		want["+"+name], away["-"+name] = true, true
		w.write(name, "x")
	}
	w.sees(slices.Collect(maps.Keys(want))...)
	for i := range 17 {
		w.do(os.RemoveAll(w.path(fmt.Sprintf("src/d%d", i))))
	}
	w.sees(slices.Collect(maps.Keys(away))...)
}

// TestOverflow: when events are lost everything is looked at, and directories that came meanwhile are watched.
func TestOverflow(t *testing.T) {
	w := newWatched(t, without(""), Options{}, map[string]string{"src/a": "1", "src/sub/b": "1"}, "src")
	// Nobody tells of what follows.
	for _, dir := range []string{"src", "src/sub"} {
		w.do(w.tree.notifier.Remove(w.path(dir)))
	}
	w.overwrite("src/sub/b", "2")
	w.write("src/new/c", "1")
	w.do(os.Remove(w.path("src/a")))
	w.tree.note("", look{all: true}) // what collect does for fsnotify.ErrEventOverflow
	w.sees("+src/sub/b", "+/src/new", "+src/new/c", "-src/a")
	w.overwrite("src/new/c", "2")
	w.overwrite("src/sub/b", "3")
	w.sees("+src/new/c", "+src/sub/b")
}

// full is a notifier whose kernel has no more than so many watches.
type full struct {
	notifier
	left int
}

func (f *full) Add(dir string) error {
	if f.left--; f.left < 0 {
		return unix.ENOSPC
	}
	return f.notifier.Add(dir)
}

// TestPolling: what cannot be watched for a limit of the kernel is polled, and it is said once which limit.
func TestPolling(t *testing.T) {
	for _, c := range []struct {
		name  string
		limit string
		spoil func(w *watched)
	}{
		{"watches", "fs.inotify.max_user_watches", func(w *watched) { w.tree.notifier = &full{w.tree.notifier, 0} }},
		{"instances", "fs.inotify.max_user_instances", func(w *watched) { w.tree.blind = unix.EMFILE }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWatched(t, without(""), Options{Poll: time.Millisecond}, map[string]string{"src/a": "1"}, "src")
			w.tree.index.Lock()
			c.spoil(w)
			w.tree.index.Unlock()
			w.write("src/new/deep/c", "1")
			w.sees("+/src/new", "+/src/new/deep", "+src/new/deep/c")
			w.overwrite("src/new/deep/c", "2")
			w.sees("+src/new/deep/c")
			w.write("src/new/more/d", "2")
			w.sees("+/src/new/more", "+src/new/more/d")
			w.do(os.RemoveAll(w.path("src/new")))
			w.sees("-/src/new", "-/src/new/deep", "-src/new/deep/c", "-/src/new/more", "-src/new/more/d")
			w.mu.Lock()
			defer w.mu.Unlock()
			if len(w.said) != 1 || !strings.Contains(w.said[0], c.limit) || !strings.Contains(w.said[0], "/src/new") {
				t.Errorf("it was said %q", w.said)
			}
		})
	}
}

// TestLimitOfTheKernel: the same with the kernel's own limit, which a user namespace has for itself.
func TestLimitOfTheKernel(t *testing.T) {
	if os.Getenv("STACK_TEST_TREE_LIMIT") == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestLimitOfTheKernel$", "-test.v")
		cmd.Env = append(os.Environ(), "STACK_TEST_TREE_LIMIT=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		out, err := cmd.CombinedOutput()
		if text := string(out); err != nil && text == "" || strings.Contains(text, "SKIP: ") {
			t.Skipf("SKIP: no user namespace with a limit of its own can be had here: %v %s", err, text)
		}
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if err := os.WriteFile("/proc/sys/user/max_inotify_watches", []byte("3"), 0); err != nil {
		t.Skip("SKIP: ", err)
	}
	w := newWatched(t, without(""), Options{Poll: time.Millisecond}, map[string]string{"src/a/f": "1", "src/b/f": "1", "src/c/f": "1", "src/d/deep/f": "1"}, "src")
	for _, name := range []string{"src/a/f", "src/b/f", "src/c/f", "src/d/deep/f"} {
		w.write(name, "2")
		w.sees("+" + name)
	}
	w.write("src/new/f", "1")
	w.sees("+/src/new", "+src/new/f")
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.said) != 1 || !strings.Contains(w.said[0], "no space left on device; the kernel allows a user so many watched directories: `sysctl fs.inotify.max_user_watches=") {
		t.Errorf("it was said %q", w.said)
	}
}

// TestFiles: the index as those see it who copy.
func TestFiles(t *testing.T) {
	w := newWatched(t, without("left"), Options{}, map[string]string{"src/a": "1", "src/sub/b": "1", "src/left/c": "1"}, "src")
	w.do(os.Symlink("nowhere", w.path("src/link")))
	w.sees("+src/link")
	var got []string
	for _, f := range w.tree.Files() {
		rel, _ := filepath.Rel(w.dir, f.Path)
		got = append(got, fmt.Sprintf("%s dir=%v known=%v size=%d %s", rel, f.Dir, f.Sum != Sum{}, f.Size, f.Link))
	}
	want := []string{"src dir=true known=false size=0 ", "src/a dir=false known=true size=1 ", "src/link dir=false known=false size=0 nowhere", "src/sub dir=true known=false size=0 ", "src/sub/b dir=false known=true size=1 "}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// TestWindow: a batch ends after a quiet moment, and after its time in any case.
func TestWindow(t *testing.T) {
	w := window{quiet: 50 * time.Millisecond, most: time.Second}
	at := time.Unix(100, 0)
	if w.open() {
		t.Error("it is open before there was an event")
	}
	w.event(at)
	if got := w.due(); !got.Equal(at.Add(w.quiet)) {
		t.Errorf("after one event: due %v", got.Sub(at))
	}
	for i := range 200 {
		w.event(at.Add(time.Duration(i) * 10 * time.Millisecond))
		if due := w.due(); due.After(at.Add(w.most)) {
			t.Fatalf("after %d events it is due after %v", i, due.Sub(at))
		}
	}
	if got := w.due(); !got.Equal(at.Add(w.most)) {
		t.Errorf("after events without a pause: due %v", got.Sub(at))
	}
	w.clear()
	if w.open() {
		t.Error("it is open after it was cleared")
	}
}

// count is how many directories, and how many files, are watched.
func (t *Tree) count() (dirs, files int) {
	t.index.Lock()
	defer t.index.Unlock()
	var walk func(n *node)
	walk = func(n *node) {
		if n == nil {
			return
		}
		if n.kind == dir {
			dirs++
		} else {
			files++
		}
		for _, kid := range n.kids {
			walk(kid)
		}
	}
	for _, n := range t.tops {
		walk(n)
	}
	return dirs, files
}
