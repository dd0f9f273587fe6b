package build_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/build"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/runtime"
)

// childEnv names the directory in which a child of the test builds until it is killed.
const childEnv = "STACK_BUILD_CHILD"

// interrupted says on the host when its second command runs.
const interrupted = "FROM busybox\nWORKDIR /w\nRUN echo first >first\nRUN --mount=type=cache,id=sign,target=/sign touch /sign/running; sleep 600\n"

// buildChild is a daemon that builds.
func buildChild(dir string) int {
	ctx := context.Background()
	r := roots.Roots{State: filepath.Join(dir, "state"), Run: filepath.Join(dir, "run")}
	images, err := image.Open(ctx, image.Options{Roots: r})
	nets, err2 := network.New(ctx, network.Options{Roots: r, ResolvConf: r.InRun("resolv.conf")})
	run, err3 := runtime.New(ctx, runtime.Options{Roots: r})
	if err := errors.Join(err, err2, err3); err != nil {
		fmt.Println(err)
		return 1
	}
	b, err := build.New(ctx, build.Options{Roots: r, Images: images, Containers: run, Networks: nets})
	if err == nil {
		_, err = b.Build(ctx, build.Request{Inline: interrupted}, nil)
	}
	fmt.Println("the build has ended:", err)
	return 1
}

// TestKilled: a daemon is killed while a command runs. The next one ends the command and removes what there is of the step, and the
// steps before it are not done again.
func TestKilled(t *testing.T) {
	h := newHost(t)
	must(t, h.build.Close(context.Background()))
	h.letGo(context.Background())
	exe, err := os.Executable()
	must(t, err)
	child := exec.Command(exe)
	child.Env = append(os.Environ(), childEnv+"="+filepath.Dir(h.context))
	var out strings.Builder
	child.Stdout, child.Stderr = &out, &out
	must(t, child.Start())
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	sandbox.Eventually(t, "the command to run", func() bool {
		select {
		case err := <-ended:
			t.Fatalf("the child has ended: %v: %s", err, out.String())
		default:
		}
		signs, _ := filepath.Glob(h.roots.InState("build", "mounts", "*", "running"))
		return len(signs) == 1
	})
	must(t, child.Process.Kill())
	<-ended
	h.open()
	list, err := h.run.List(context.Background())
	must(t, err)
	if len(list) != 0 {
		t.Errorf("there are %d containers", len(list))
	}
	left, err := h.build.Sweep(context.Background(), false)
	must(t, err)
	if len(left) != 0 {
		t.Errorf("there is %q", left)
	}
	if got := h.steps(strings.Replace(interrupted, "sleep 600", "true", 1)); got != "FROM done, WORKDIR cached, RUN cached, RUN done" {
		t.Errorf("after the crash: %s", got)
	}
}

// TestDiskFull: a build that finds no room says so and leaves nothing; when there is room again it goes on where it was.
func TestDiskFull(t *testing.T) {
	sandbox.Require(t)
	archive := busybox(t)
	sandbox.LeavesNothing(t)
	dir, err := os.MkdirTemp("/run", "build-full-")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	h := &host{t: t, roots: roots.Roots{State: filepath.Join(dir, "state"), Run: filepath.Join(dir, "run")}, context: filepath.Join(dir, "context")}
	must(t, os.MkdirAll(h.roots.State, 0o755))
	must(t, os.MkdirAll(h.context, 0o755))
	must(t, unix.Mount("tmpfs", h.roots.State, "tmpfs", 0, "size=24m"))
	t.Cleanup(func() { must(t, unix.Unmount(h.roots.State, 0)) })
	h.open()
	t.Cleanup(h.close)
	h.load(archive)
	must(t, os.WriteFile(filepath.Join(h.context, "big"), make([]byte, 40<<20), 0o644))
	text := h.refused("FROM busybox\nRUN echo first >/first\nRUN dd if=/dev/zero of=/big bs=1M count=40\n")
	if !strings.Contains(text, "Dockerfile:3") || !strings.Contains(text, "No space left") {
		t.Errorf("a command that finds no room: %s", text)
	}
	text = h.refused("FROM busybox\nRUN echo first >/first\nCOPY big /\n")
	if !strings.Contains(text, "Dockerfile:3: COPY big /") || !strings.Contains(text, "no space left") {
		t.Errorf("a copy that finds no room: %s", text)
	}
	keys, err := h.images.Snapshots(context.Background())
	must(t, err)
	if len(keys) != 0 {
		t.Errorf("there are snapshots %q", keys)
	}
	must(t, unix.Mount("tmpfs", h.roots.State, "tmpfs", unix.MS_REMOUNT, "size=200m"))
	if got := h.steps("FROM busybox\nRUN echo first >/first\nCOPY big /\n"); got != "FROM done, RUN cached, COPY done" {
		t.Errorf("with room: %s", got)
	}
}

// TestSameStepOnce: builds of the same at the same time do each step once.
func TestSameStepOnce(t *testing.T) {
	h := newHost(t)
	const text = "FROM busybox\nRUN --mount=type=cache,target=/c echo x >>/c/count && sleep 0.2 && cp /c/count /count\n"
	type result struct {
		info image.Info
		err  error
	}
	results := make(chan result, 4)
	for range cap(results) {
		go func() {
			info, err := h.build.Build(context.Background(), build.Request{Inline: text}, nil)
			results <- result{info, err}
		}()
	}
	first := <-results
	must(t, first.err)
	for range cap(results) - 1 {
		r := <-results
		must(t, r.err)
		if r.info.ID != first.info.ID {
			t.Errorf("the images are %s and %s", r.info.ID, first.info.ID)
		}
	}
	if files := h.files(first.info.ID, "/"); !strings.Contains(strings.Join(files, "|"), "/count = x\n|") {
		t.Errorf("there is %q", files)
	}
}

// TestChangedWhileCopied: a step whose files have changed since they were looked at is not found again.
func TestChangedWhileCopied(t *testing.T) {
	h := newHost(t)
	h.write("f", "one")
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
				os.WriteFile(filepath.Join(h.context, "f"), fmt.Appendf(nil, "%d", n), 0o644)
			}
		}
	}()
	var p *told
	sandbox.Eventually(t, "a change to be noticed", func() bool {
		_, p = h.make("FROM busybox\nCOPY f /f\n")
		return len(p.warnings()) > 0
	})
	close(stop)
	<-done
	if w := p.warnings()[0]; !strings.Contains(w, "f has changed while it was copied") {
		t.Errorf("the warning is %q", w)
	}
	h.write("f", "settled")
	info, _ := h.make("FROM busybox\nCOPY f /f\n")
	if files := h.files(info.ID, "/"); !strings.Contains(strings.Join(files, "|"), "/f = settled|") {
		t.Errorf("there is %q", files)
	}
}
