package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/moby/client"

	"github.com/stackrun/stack/internal/sandbox"
)

// buildx is docker's plugin, where it is installed: nothing that the tests install has it.
func buildx(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("STACK_TEST_BUILDX"), "/usr/libexec/docker/cli-plugins/docker-buildx", "/usr/lib/docker/cli-plugins/docker-buildx", "docker-buildx"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	t.Skip("SKIP: there is no docker-buildx, also not by STACK_TEST_BUILDX; api/docker/buildkit has the tests of the protocol")
	return ""
}

// TestBuildx: docker's own client of BuildKit's protocol builds here: with progress, secrets, contexts, a faulty step, and Ctrl-C.
func TestBuildx(t *testing.T) {
	bin := buildx(t)
	h := theHost(t)
	c := h.dockerClient(t)
	t.Cleanup(func() {
		for _, name := range []string{"buildx:1", "buildx:2"} {
			c.ImageRemove(context.Background(), name, client.ImageRemoveOptions{}) //nolint:errcheck // it may not have come to that
		}
		h.exec(t, h.dir, "", nil, "gc", "--check") // which keeps nothing ready for the next build
	})
	dir := t.TempDir()
	write(t, filepath.Join(dir, "Dockerfile"), `# syntax=docker/dockerfile:1
FROM busybox AS base
ARG WHO=nobody
RUN echo "hello $WHO"
FROM base AS whole
COPY . /d
COPY --from=other o /o
RUN --mount=type=secret,id=s ls /d && cat /run/secrets/s /o
FROM base AS faulty
RUN echo about to fail; false
FROM base AS long
RUN echo begun; sleep 1000
`)
	write(t, filepath.Join(dir, "f"), "content")
	write(t, filepath.Join(dir, "skipped"), "content")
	write(t, filepath.Join(dir, ".dockerignore"), "skipped\nid\n")
	write(t, filepath.Join(dir, "other/o"), "of the other\n")
	write(t, filepath.Join(dir, "secret"), "sesame\n")
	command := func(args ...string) *exec.Cmd {
		cmd := exec.Command(bin, append([]string{"build", "--progress", "plain"}, args...)...)
		cmd.Dir = dir
		cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "DOCKER_HOST=unix://" + h.run("stack.sock")}
		return cmd
	}
	out, err := command("--target", "whole", "-t", "buildx:1", "-t", "buildx:2", "--build-arg", "WHO=you", "--secret", "id=s,src=secret", "--build-context", "other=other", "--iidfile", "id", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%v", out, err)
	}
	contains(t, "build", string(out), "[base 3/3] RUN echo", "hello you", "sesame", "of the other", "naming to buildx:2")
	if strings.Contains(string(out), "skipped") {
		t.Errorf("what .dockerignore leaves out has come:\n%s", out)
	}
	id, err := os.ReadFile(filepath.Join(dir, "id"))
	if i, ierr := c.ImageInspect(t.Context(), "buildx:1"); err != nil || ierr != nil || i.ID != string(id) || len(i.RepoTags) != 2 {
		t.Errorf("%s, %+v, %v, %v", id, i, err, ierr)
	}
	out, err = command("--target", "whole", "--build-arg", "WHO=you", "--secret", "id=s,src=secret", "--build-context", "other=other", ".").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "CACHED") || strings.Contains(string(out), "sesame") {
		t.Errorf("again: %s\n%v", out, err)
	}
	out, err = command("--target", "faulty", ".").CombinedOutput()
	if err == nil {
		t.Errorf("a step that fails is none:\n%s", out)
	}
	contains(t, "faulty", string(out), "about to fail", "Dockerfile:10: RUN", "exit code 1")

	long := command("--target", "long", ".")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	long.Stdout, long.Stderr = log, log
	if err := long.Start(); err != nil {
		t.Fatal(err)
	}
	sandbox.Eventually(t, "the step runs", func() bool {
		text, err := os.ReadFile(log.Name())
		return err == nil && strings.Contains(string(text), " begun\n")
	})
	if err := long.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := long.Wait(); err == nil {
		t.Error("a build that was interrupted is done")
	}
	sandbox.Eventually(t, "nothing of it is left", func() bool {
		left, err := os.ReadDir(h.state("build", "tmp"))
		return err == nil && len(left) == 0
	})
}
