package e2e

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/client"

	"github.com/stackrun/stack/api/docker/buildkit/buildkittest"
	"github.com/stackrun/stack/api/docker/buildkit/grpc"
	"github.com/stackrun/stack/api/docker/buildkit/message"
	"github.com/stackrun/stack/internal/sandbox"
)

// lender is a client of BuildKit's protocol with a session.
type lender struct {
	calls   *grpc.Client
	session net.Conn
}

// lend opens both connections of a client, on the second of which m answers.
func (h *host) lend(t *testing.T, id string, m grpc.Methods) lender {
	t.Helper()
	c := h.dockerClient(t)
	dial := func(path string, meta http.Header) net.Conn {
		conn, err := c.DialHijack(t.Context(), path, "h2c", meta)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	l := lender{session: dial("/session", http.Header{"X-Docker-Expose-Session-Uuid": {id}})}
	var over sync.WaitGroup
	over.Go(func() { grpc.Serve(t.Context(), l.session, m) })
	calls, err := grpc.NewClient(t.Context(), dial("/grpc", nil))
	if err != nil {
		t.Fatal(err)
	}
	l.calls = calls
	t.Cleanup(func() { calls.Close(); l.session.Close(); over.Wait() })
	return l
}

// TestBuildKit: what buildx asks for is built by the daemon: with the client's files and secrets, told step by step; a build that its client leaves alone leaves nothing.
func TestBuildKit(t *testing.T) {
	h := theHost(t)
	c := h.dockerClient(t)
	t.Cleanup(func() {
		for _, name := range []string{"bk:1", "bk:2"} {
			c.ImageRemove(context.Background(), name, client.ImageRemoveOptions{}) //nolint:errcheck // it may not have come to that
		}
		h.exec(t, h.dir, "", nil, "gc", "--check") // which keeps nothing ready for the next build
	})
	dockerfile := `FROM busybox AS base
ARG WHO=nobody
RUN echo "greetings to $WHO"
FROM base AS whole
COPY . /d
RUN --mount=type=secret,id=s cat /run/secrets/s /d/dir/f /d/hard
FROM base AS faulty
RUN echo about to fail; false
FROM base AS long
RUN echo begun; sleep 1000
`
	m := buildkittest.Sends(map[string][]buildkittest.File{
		"dockerfile": {{Path: "Dockerfile", Content: dockerfile, Mode: 0o644}},
		"context":    {{Path: "dir", Mode: fs.ModeDir | 0o755}, {Path: "dir/f", Content: "of a file\n", Mode: 0o644}, {Path: "hard", Mode: 0o644, Link: "dir/f"}},
	})
	m["/moby.buildkit.secrets.v1.Secrets/GetSecret"] = grpc.Unary(func(_ context.Context, _ http.Header, in []byte) ([]byte, error) {
		if id, err := message.ReadRef(in); err != nil || id != "s" {
			return nil, grpc.Errorf(grpc.NotFound, "there is no secret %q", id)
		}
		return buildkittest.Text(1, "sesame\n"), nil
	})
	l := h.lend(t, "e2e-session", m)
	output := buildkittest.Sub(13, buildkittest.Text(1, "moby"), buildkittest.Texts(2, map[string]string{"name": "bk:1,bk:2"}))
	n := 0
	build := func(target string, more ...[]byte) (exported, told string, err error) {
		n++
		ref := fmt.Sprint("e2e-", n)
		said := make(chan string, 1)
		go func() {
			all, terr := buildkittest.Told(t.Context(), l.calls, ref)
			if terr != nil && t.Context().Err() == nil {
				t.Error(terr)
			}
			said <- all
		}()
		exported, err = buildkittest.Build(t.Context(), l.calls, ref, "e2e-session", map[string]string{"target": target, "build-arg:WHO": "you"}, more...)
		return exported, <-said, err
	}
	exported, told, err := build("whole", output)
	if err != nil {
		t.Fatalf("%v\n%q", err, told)
	}
	contains(t, "told", told, "[base 3/3] RUN echo", "greetings to you", "sesame\n", "of a file\n", "naming to bk:2")
	if i, err := c.ImageInspect(t.Context(), "bk:1"); err != nil || !strings.Contains(exported, i.ID) || len(i.RepoTags) != 2 {
		t.Errorf("%q, %+v, %v", exported, i, err)
	}
	images, err := c.ImageList(t.Context(), client.ImageListOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, told, err = build("base"); err != nil || !strings.Contains(told, "[base 3/3] RUN echo") || strings.Contains(told, "greetings to you\n") {
		t.Errorf("steps alone, once more: %q, %v", told, err)
	}
	if after, err := c.ImageList(t.Context(), client.ImageListOptions{All: true}); err != nil || len(after.Items) != len(images.Items) {
		t.Errorf("a build without an output makes an image: %+v, %v", after.Items, err)
	}
	if _, told, err = build("faulty", output); err == nil || !strings.Contains(err.Error(), "Dockerfile:8: RUN") || !strings.Contains(told, "about to fail") {
		t.Errorf("a faulty step: %q, %v", told, err)
	}
	if _, _, err = build("none", output); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("no such stage: %v", err)
	}

	gone := make(chan struct{})
	go func() {
		defer close(gone)
		buildkittest.Build(t.Context(), l.calls, "long", "e2e-session", map[string]string{"target": "long"}) //nolint:errcheck // it is cut off
	}()
	s, err := l.calls.Open(t.Context(), "/moby.buildkit.v1.Control/Status", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Send(buildkittest.Text(1, "long")); err != nil {
		t.Fatal(err)
	}
	for {
		msg, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(msg), "begun\n") {
			break
		}
	}
	l.calls.Close()
	l.session.Close()
	<-gone
	sandbox.Eventually(t, "nothing of a build whose client is gone is left", func() bool {
		left, err := os.ReadDir(h.state("build", "tmp"))
		snapshot, serr := sandbox.Take()
		return err == nil && serr == nil && len(left) == 0 && !strings.Contains(strings.Join(snapshot.Processes, "\n"), "sleep 1000")
	})
}
