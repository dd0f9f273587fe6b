package runtime_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/runtime/process"
)

// one is the stream of one file.
func one(t testing.TB, name, body string) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(body)), Uid: 1234}))
	_, err := io.WriteString(w, body)
	must(t, err)
	must(t, w.Close())
	return &b
}

// read is what a path of a container holds: names, and the contents of files.
func (h *host) read(id, path string) (map[string]string, error) {
	h.t.Helper()
	var b bytes.Buffer
	if err := h.CopyOut(h.t.Context(), id, runtime.CopyOut{Path: path}, &b); err != nil {
		return nil, err
	}
	return untar(h.t, &b), nil
}

func untar(t testing.TB, r io.Reader) map[string]string {
	t.Helper()
	found := map[string]string{}
	for r := tar.NewReader(r); ; {
		head, err := r.Next()
		if err == io.EOF {
			return found
		}
		must(t, err)
		body, err := io.ReadAll(r)
		must(t, err)
		found[head.Name] = string(body)
	}
}

func (h *host) copyIn(id, path, body string) error {
	h.t.Helper()
	return h.CopyIn(h.t.Context(), id, runtime.CopyIn{Path: path, Copy: true}, one(h.t, "f", body))
}

// copied has a container with every kind of mount.
func (h *host) copied() runtime.Config {
	h.t.Helper()
	c := h.sh("echo up; exec sleep 1000")
	data, readOnly := h.roots.InState("data"), h.roots.InState("readonly")
	for _, d := range []string{data, readOnly} {
		must(h.t, os.MkdirAll(d, 0o755))
		must(h.t, os.WriteFile(filepath.Join(d, "there"), []byte("there"), 0o644))
	}
	c.Mounts = []mount.Mount{
		{Type: "bind", Source: data, Target: "/data", Options: []string{"rbind"}},
		{Type: "file", Target: "/etc/conf", File: &mount.File{Content: []byte("conf"), Mode: 0o444}},
		{Type: "bind", Source: readOnly, Target: "/ro", Options: []string{"rbind", "ro"}},
		{Type: "tmpfs", Target: "/scratch"},
	}
	return c
}

// TestCopyByState: files go into a container and out of it whatever state it is in, into its volumes too, and what is there only while it runs is refused by name otherwise.
func TestCopyByState(t *testing.T) {
	h := newHost(t)
	c := h.copied()
	must(t, os.MkdirAll(filepath.Join(c.Root[0].Upper, "scratch"), 0o755))
	_, err := h.Create(t.Context(), c)
	must(t, err)
	for _, state := range []string{"created", "running", "paused", "stopped", "running again"} {
		running := strings.HasPrefix(state, "running") || state == "paused"
		switch state {
		case "running", "running again":
			_, err := h.Start(t.Context(), c.ID)
			must(t, err)
			h.eventuallyLog(c, "up")
		case "stopped":
			_, err := h.Stop(t.Context(), c.ID, 0)
			must(t, err)
		}
		for path, want := range map[string]struct {
			ok   bool
			says string
		}{
			"/root/f":    {ok: true},
			"/data/f":    {ok: true},
			"/scratch/f": {ok: running, says: "/scratch is on a file system that is mounted read-only: that is a volume"},
			"/ro/f":      {says: "/ro is on a file system that is mounted read-only: that is a volume"},
			"/etc/conf":  {says: "/etc/conf: something is mounted there"},
			"/proc/f":    {says: map[bool]string{true: "whose files are the kernel's", false: "mounted read-only"}[running]},
		} {
			err := h.copyIn(c.ID, path, state)
			if want.ok != (err == nil) || !want.ok && !strings.Contains(err.Error(), want.says) {
				t.Errorf("%s: into %s: %v, expected %+v", state, path, err, want)
			}
			if !want.ok {
				continue
			}
			if got, err := h.read(c.ID, path); err != nil || got["f"] != state {
				t.Errorf("%s: %s holds %q, %v", state, path, got, err)
			}
		}
		for path, want := range map[string]string{"/etc/conf": "conf", "/ro/there": "there", "/data/there": "there"} {
			if got, err := h.read(c.ID, path); err != nil || got[filepath.Base(path)] != want {
				t.Errorf("%s: %s holds %q, %v", state, path, got, err)
			}
		}
		if b, err := os.ReadFile(h.roots.InState("data", "f")); err != nil || string(b) != state {
			t.Errorf("%s: the volume holds %q, %v", state, b, err)
		}
		if running {
			if got := h.cat(c.ID, "/root/f"); got != state {
				t.Errorf("%s: the container sees %q", state, got)
			}
			x, err := h.Exec(t.Context(), c.ID, runtime.Process{Args: []string{"sh", "-c", `test "$(stat -c %u:%g /root/f)" = 0:0`}}, process.IO{})
			if err != nil || x.Code != 0 {
				t.Errorf("%s: it is not of root: %+v, %v", state, x, err)
			}
		}
		if got, err := h.read(c.ID, "/no"); !errors.Is(err, errdefs.ErrNotFound) {
			t.Errorf("%s: of nothing: %q, %v", state, got, err)
		}
		var b bytes.Buffer
		must(t, h.Export(t.Context(), c.ID, &b, nil))
		got := untar(t, &b)
		if _, ok := got["bin/busybox"]; !ok || got["root/f"] != state {
			t.Errorf("%s: the export has %d files, and /root/f %q", state, len(got), got["root/f"])
		}
		for name := range got {
			for _, mounted := range []string{"data/", "ro/", "scratch/", "proc/", "sys/"} {
				if strings.HasPrefix(name, mounted) && name != mounted {
					t.Errorf("%s: the export has %s", state, name)
				}
			}
		}
	}
	if err := h.copyIn("nobody", "/f", ""); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("into nobody: %v", err)
	}
}

func (h *host) cat(id, path string) string {
	h.t.Helper()
	var out buffer
	_, err := h.Exec(h.t.Context(), id, runtime.Process{Args: []string{"cat", path}}, process.IO{Stdout: &out})
	must(h.t, err)
	return out.String()
}

// TestCopyReadOnlyRoot: a root that is read-only is, and a volume in it is not.
func TestCopyReadOnlyRoot(t *testing.T) {
	h := newHost(t)
	c := h.copied()
	for _, dir := range []string{"data", "ro", "scratch", "etc"} { // the mount points, as an image has them
		must(t, os.MkdirAll(filepath.Join(c.Root[0].Upper, dir), 0o755))
	}
	must(t, os.WriteFile(filepath.Join(c.Root[0].Upper, "etc/conf"), nil, 0o644))
	c.Spec.Root = &specs.Root{Readonly: true}
	_, err := h.Create(t.Context(), c)
	must(t, err)
	check := func(state string) {
		t.Helper()
		err := h.copyIn(c.ID, "/root/f", "x")
		if !errors.Is(err, errdefs.ErrConflict) || !strings.Contains(fmt.Sprint(err), "/root is on a file system that is mounted read-only: the root file system of the container is (read_only)") {
			t.Errorf("%s: into the root: %v", state, err)
		}
		must(t, h.copyIn(c.ID, "/data/f", "x"))
	}
	check("created")
	_, err = h.Start(t.Context(), c.ID)
	must(t, err)
	check("running")
}

// TestCopyFillsVolume: what is copied to a volume that is new does not keep it from having what the image has there.
func TestCopyFillsVolume(t *testing.T) {
	h := newHost(t)
	c := h.config("cat", "/etc/passwd", "/etc/f")
	data := h.roots.InState("data")
	must(t, os.MkdirAll(data, 0o755))
	c.Mounts = []mount.Mount{{Type: "bind", Source: data, Target: "/etc", CopyUp: true}}
	_, err := h.Create(t.Context(), c)
	must(t, err)
	must(t, h.copyIn(c.ID, "/etc/f", "mine\n"))
	_, err = h.Start(t.Context(), c.ID)
	must(t, err)
	if x := h.wait(c.ID); x.Code != 0 || !strings.Contains(h.log(c), "web:x:1000") || !strings.Contains(h.log(c), "mine") {
		t.Errorf("exit %+v, log %q", x, h.log(c))
	}
}

// containerRoot is the root of a container that runs, for what its processes could do there.
func (h *host) containerRoot(s runtime.State) int {
	h.t.Helper()
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/root", s.Pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(h.t, err)
	h.t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// TestCopyAttacks: CVE-2018-15664 and its kin. While a container exchanges directories for links that lead to the host, for devices and FIFOs, whatever is
// copied in either direction comes to lie, and comes from, inside.
func TestCopyAttacks(t *testing.T) {
	h := newHost(t)
	canary := h.roots.InState("canary")
	must(t, os.MkdirAll(canary, 0o755))
	must(t, os.WriteFile(filepath.Join(canary, "secret"), []byte("of the host"), 0o644))
	c := h.config("sleep", "1000")
	s := h.up(c)
	root := h.containerRoot(s)
	must(t, unix.Mkdirat(root, "race", 0o755))
	work, err := unix.Openat(root, "race", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(work)
	up := strings.Repeat("../", 20)
	for _, tc := range []struct {
		name string
		evil func() error // makes "evil" in work
	}{
		{"absolute link", func() error { return unix.Symlinkat(canary, work, "evil") }},
		{"relative link", func() error { return unix.Symlinkat(up+strings.TrimPrefix(canary, "/"), work, "evil") }},
		{"link of procfs", func() error { return unix.Symlinkat("/proc/1/root"+canary, work, "evil") }},
		{"link to this process", func() error { return unix.Symlinkat("/proc/self/cwd", work, "evil") }},
		{"device", func() error { return unix.Mknodat(work, "evil", unix.S_IFCHR|0o666, int(unix.Mkdev(10, 130))) }},
		{"fifo", func() error { return unix.Mknodat(work, "evil", unix.S_IFIFO|0o666, 0) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			must(t, tc.evil())
			must(t, unix.Mkdirat(work, "good", 0o755))
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				for ctx.Err() == nil {
					unix.Renameat2(work, "good", work, "evil", unix.RENAME_EXCHANGE)
				}
			}()
			in, out := 0, 0
			for n := range 100 {
				if h.CopyIn(t.Context(), c.ID, runtime.CopyIn{Path: "/race/good/deep/er", Parents: true}, one(t, fmt.Sprint("f", n%3), "x")) == nil {
					in++
				}
				if h.CopyIn(t.Context(), c.ID, runtime.CopyIn{Path: "/race/good", Copy: true}, one(t, "secret", "x")) == nil {
					in++
				}
				for _, path := range []string{"/race/good/.", "/race/good/secret", "/race"} {
					var b bytes.Buffer
					if h.CopyOut(t.Context(), c.ID, runtime.CopyOut{Path: path}, &b) == nil {
						out++
					}
					if bytes.Contains(b.Bytes(), []byte("of the host")) {
						t.Fatalf("%s: the stream has what is the host's", path)
					}
				}
			}
			cancel()
			<-done
			t.Logf("%d copies in and %d out came about", in, out)
			if in == 0 || out == 0 {
				t.Error("nothing was copied at all")
			}
			for _, name := range []string{"good", "evil"} {
				x, err := h.Exec(t.Context(), c.ID, runtime.Process{Args: []string{"/bin/busybox", "rm", "-rf", "/race/" + name}}, process.IO{})
				if err != nil || x.Code != 0 {
					t.Fatal(x, err)
				}
			}
			names, err := os.ReadDir(canary)
			must(t, err)
			b, err := os.ReadFile(filepath.Join(canary, "secret"))
			if err != nil || string(b) != "of the host" || len(names) != 1 {
				t.Fatalf("the canary has %v, %q, %v", names, b, err)
			}
		})
	}
}

// TestCopyEndsWithTheContainer: a copy that waits for its client does not outlive the container, and does not keep it from being started anew.
func TestCopyEndsWithTheContainer(t *testing.T) {
	h := newHost(t)
	c := h.config("sleep", "1000")
	h.up(c)
	late, feed := io.Pipe()
	defer feed.Close()
	errs := make(chan error, 2)
	go func() { errs <- h.CopyIn(t.Context(), c.ID, runtime.CopyIn{Path: "/root", Copy: true}, late) }()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "f", Mode: 0o644, Size: 1 << 20}))
	_, err := feed.Write(b.Bytes()) // from here on the file is open
	must(t, err)
	blocked := &blockedWriter{came: make(chan struct{}), go_: make(chan struct{})}
	go func() { errs <- h.CopyOut(t.Context(), c.ID, runtime.CopyOut{Path: "/bin"}, blocked) }()
	<-blocked.came
	_, err = h.Stop(t.Context(), c.ID, 0)
	must(t, err)
	_, err = h.Start(t.Context(), c.ID)
	must(t, err)
	close(blocked.go_)
	for range 2 {
		if err := <-errs; !errors.Is(err, errdefs.ErrConflict) || !strings.Contains(err.Error(), "ended meanwhile") {
			t.Errorf("the copy ended with %v", err)
		}
	}
	if _, err := h.read(c.ID, "/root/f"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("a part of the file is there: %v", err)
	}
}

// TestStalledCopy: a copy of a container that does not run whose client has stopped does not keep it from being started or deleted; one that gets on does.
func TestStalledCopy(t *testing.T) {
	h := newHost(t)
	for _, out := range []bool{false, true} {
		c := h.config("sleep", "1000")
		_, err := h.Create(t.Context(), c)
		must(t, err)
		late, feed := io.Pipe()
		defer feed.Close()
		blocked := &blockedWriter{came: make(chan struct{}), go_: make(chan struct{})}
		errs := make(chan error, 1)
		if out {
			go func() { errs <- h.CopyOut(t.Context(), c.ID, runtime.CopyOut{Path: "/bin"}, blocked) }()
			<-blocked.came
		} else {
			go func() { errs <- h.CopyIn(t.Context(), c.ID, runtime.CopyIn{Path: "/root", Copy: true}, late) }()
			var b bytes.Buffer
			must(t, tar.NewWriter(&b).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "f", Mode: 0o644, Size: 1 << 20}))
			_, err = feed.Write(b.Bytes())
			must(t, err)
			for seen, steps := int64(-1), 0; steps < 5; steps++ { // it gets on
				sandbox.Eventually(t, "the copy has come further", func() bool {
					_, err := feed.Write(make([]byte, 1))
					must(t, err)
					now, ok := h.Look(c.ID, -1)
					if !ok {
						t.Fatal("nobody copies any more")
					}
					further := now > seen
					seen = now
					return further
				})
			}
		}
		h.Impatient(time.Millisecond)
		if out {
			_, err = h.Start(t.Context(), c.ID)
		} else {
			err = h.Delete(t.Context(), c.ID)
		}
		must(t, err)
		close(blocked.go_)
		if err := <-errs; !errors.Is(err, errdefs.ErrConflict) || !strings.Contains(err.Error(), "did not get on") {
			t.Errorf("out %v: the copy ended with %v", out, err)
		}
	}
}

type blockedWriter struct {
	came, go_ chan struct{}
	begun     bool
}

func (w *blockedWriter) Write(p []byte) (int, error) {
	if !w.begun {
		w.begun = true
		close(w.came)
		<-w.go_
	}
	return len(p), nil
}

// TestCopyCancelled: a client that goes ends its copy, and nothing is left open: not of a container that runs, nor of one that does not, which can be started then.
func TestCopyCancelled(t *testing.T) {
	h := newHost(t)
	for _, running := range []bool{true, false} {
		c := h.config("sleep", "1000")
		_, err := h.Create(t.Context(), c)
		must(t, err)
		if running {
			_, err := h.Start(t.Context(), c.ID)
			must(t, err)
		}
		before := openRoots(t)
		ctx, cancel := context.WithCancel(t.Context())
		late, feed := io.Pipe()
		ended := make(chan error)
		go func() { ended <- h.CopyIn(ctx, c.ID, runtime.CopyIn{Path: "/root", Copy: true}, late) }()
		var b bytes.Buffer
		must(t, tar.NewWriter(&b).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "f", Mode: 0o644, Size: 1 << 20}))
		_, err = feed.Write(b.Bytes())
		must(t, err)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("running %v: %v", running, err)
		}
		feed.Close()
		sandbox.Eventually(t, "no descriptor of its files", func() bool { return slices.Equal(openRoots(t), before) })
		_, err = h.Start(t.Context(), c.ID)
		must(t, err)
	}
}

// openRoots are this process's descriptors of directories and namespaces.
func openRoots(t testing.TB) (found []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, e := range entries {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		must(t, err)
		if to == "/" || strings.HasPrefix(to, "mnt:") || strings.Contains(to, "/root") {
			found = append(found, to)
		}
	}
	slices.Sort(found)
	return found
}

// TestStartWaitsForVisits: while somebody still has the files of the last run open, the next one does not begin: the overlay would be mounted twice.
func TestStartWaitsForVisits(t *testing.T) {
	h := newHost(t)
	c := h.config("true")
	_, err := h.Create(t.Context(), c)
	must(t, err)
	leave := h.Visit(c.ID)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := h.Start(ctx, c.ID); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it starts, or %v", err)
	}
	leave()
	_, err = h.Start(t.Context(), c.ID)
	must(t, err)
	h.wait(c.ID)
}
