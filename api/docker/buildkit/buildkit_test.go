package buildkit

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/api/docker/buildkit/buildkittest"
	"github.com/stackrun/stack/api/docker/buildkit/grpc"
	"github.com/stackrun/stack/api/docker/buildkit/message"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/reconcile"
)

var made = v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("a", 64)}

var moby = buildkittest.Sub(13, buildkittest.Text(1, "moby"), buildkittest.Texts(2, map[string]string{"name": "a:1,b:2"}))

// TestBuild: the sources that the client has arrive as it has them, and what becomes of the steps is told.
func TestBuild(t *testing.T) {
	e := &engine{}
	e.build = func(ctx context.Context, b reconcile.ImageBuild, say func(reconcile.BuildProgress)) (image.Info, error) {
		from, err := b.Fetch(ctx, t.TempDir())
		if err != nil {
			return image.Info{}, err
		}
		for name, want := range map[string]string{from.Dockerfile: "FROM scratch", from.Context + "/dir/f": "content", from.Context + "/hard": "content", from.Context + "/soft": "content", from.Contexts["more"] + "/m": "more"} {
			if got, err := os.ReadFile(name); err != nil || string(got) != want {
				t.Errorf("%s is %q, %v", name, got, err)
			}
		}
		if info, err := os.Stat(filepath.Join(from.Context, "dir/f")); err != nil || info.Mode() != 0o640 || info.ModTime().UnixNano() != 1e18 {
			t.Errorf("%v, %v", info, err)
		}
		if from.Contexts["base"] != "docker-image://busybox" || len(b.Tags) != 2 || b.Args["A"] != "1" || b.Target != "last" || b.StepsOnly {
			t.Errorf("%+v, %+v", from, b)
		}
		if got, want := fmt.Sprintf("%+v %+v", b.CacheFrom, b.CacheTo), "[a/cache c/cache b/cache] [a/cache inline]"; got != want || !b.CacheTo[0].All {
			t.Errorf("caches are %s, expected %s", got, want)
		}
		secret, err := b.FindSecret("s")
		if err != nil || string(secret.Value) != "word" {
			t.Errorf("%v, %v", secret, err)
		}
		if none, err := b.FindSecret("none"); err != nil || none != nil {
			t.Errorf("%v, %v", none, err)
		}
		if none, err := b.FindAgent("none"); err != nil || none != nil {
			t.Errorf("%v, %v", none, err)
		}
		agent, err := b.FindAgent("default")
		if err != nil || agent == nil {
			return image.Info{}, fmt.Errorf("the client's SSH agent is %v, %v", agent, err)
		}
		talk, err := agent.Dial(ctx)
		if err != nil {
			return image.Info{}, err
		}
		defer talk.Close()
		for _, word := range []string{"one", "two"} {
			got := make([]byte, len(word)+3)
			if _, err := talk.Write([]byte(word)); err != nil {
				t.Error(err)
			} else if _, err := io.ReadFull(talk, got); err != nil || string(got) != "to "+word {
				t.Errorf("the agent says %q, %v", got, err)
			}
		}
		if auth, err := b.FindAuth("docker.io"); err != nil || *auth != (image.Auth{Username: "u", Password: "p"}) {
			t.Errorf("%v, %v", auth, err)
		}
		p := reconcile.BuildProgress{Step: 2, Steps: 3, Stage: "first", Text: "RUN x", Phase: reconcile.BuildStarted}
		say(p)
		p.Phase, p.Output = reconcile.BuildOutput, []byte("said\n")
		say(p)
		p.Phase, p.Output = reconcile.BuildDone, nil
		say(p)
		say(reconcile.BuildProgress{Step: 3, Steps: 3, Stage: "stage-0", Text: "COPY y z", Phase: reconcile.BuildCached})
		return image.Info{ID: made}, nil
	}
	d := serve(t, e)
	m := buildkittest.Sends(map[string][]buildkittest.File{
		"dockerfile": {{Path: "Dockerfile", Content: "FROM scratch", Mode: 0o644}},
		"context": {{Path: "dir", Mode: 0o755 | os.ModeDir}, {Path: "dir/f", Content: "content", Mode: 0o640}, {Path: "empty", Mode: 0o600},
			{Path: "hard", Mode: 0o640, Link: "dir/f"}, {Path: "soft", Mode: 0o777 | os.ModeSymlink, Link: "dir/f"}},
		"named": {{Path: "m", Content: "more", Mode: 0o644}},
	})
	m["/moby.buildkit.secrets.v1.Secrets/GetSecret"] = grpc.Unary(func(_ context.Context, _ http.Header, in []byte) ([]byte, error) {
		if id, _ := message.ReadRef(in); id == "s" {
			return buildkittest.Text(1, "word"), nil
		}
		return nil, grpc.Errorf(grpc.NotFound, "no such secret")
	})
	m["/moby.sshforward.v1.SSH/CheckAgent"] = grpc.Unary(func(_ context.Context, _ http.Header, in []byte) ([]byte, error) {
		if id, _ := message.ReadRef(in); id != "default" {
			return nil, grpc.Errorf(grpc.Unknown, "unset ssh forward key %s", id)
		}
		return nil, nil
	})
	m["/moby.sshforward.v1.SSH/ForwardAgent"] = func(_ context.Context, s *grpc.Stream) error {
		if id := s.Header.Get("buildkit.ssh.id"); id != "default" {
			return grpc.Errorf(grpc.NotFound, "agent %q", id)
		}
		for {
			in, err := s.Recv()
			if err != nil {
				return err
			}
			word, _ := message.ReadRef(in)
			if err := s.Send(buildkittest.Text(1, "to "+word)); err != nil {
				return err
			}
		}
	}
	m["/moby.filesync.v1.Auth/Credentials"] = grpc.Unary(func(context.Context, http.Header, []byte) ([]byte, error) {
		return buildkittest.Join(buildkittest.Text(1, "u"), buildkittest.Text(2, "p")), nil
	})
	d.lend("me", "session", m)
	c := d.calls("me")
	said := make(chan string)
	go func() {
		all, err := buildkittest.Told(t.Context(), c, "ref")
		if err != nil {
			t.Error(err)
		}
		said <- all
	}()
	out, err := buildkittest.Build(t.Context(), c, "ref", "session", map[string]string{
		"filename": "Dockerfile", "build-arg:A": "1", "target": "last", "context:more": "local:named", "context:base": "docker-image://busybox", "vcs:revision": "x", "image-resolve-mode": "local",
		"cache-imports": `[{"Type":"registry","Attrs":{"ref":"a/cache"}},{"Type":"registry","Attrs":{"ref":"c/cache","mode":"max"}},{"Type":"gha","Attrs":{"scope":"x"}},{"Type":"local","Attrs":{"src":"/c"}}]`, "cache-from": "a/cache,b/cache",
	}, moby, buildkittest.Sub(8, buildkittest.Sub(4, buildkittest.Text(1, "registry"), buildkittest.Texts(2, map[string]string{"ref": "a/cache", "mode": "max"})), buildkittest.Sub(4, buildkittest.Text(1, "inline"))))
	if err != nil || !strings.Contains(out, "containerimage.config.digest") || !strings.Contains(out, made.String()) || !strings.Contains(out, "a:1,b:2") {
		t.Errorf("%q, %v", out, err)
	}
	all := <-said
	for _, want := range []string{"[internal] load build definition from Dockerfile", "[internal] load build context", "[first 2/3] RUN x", "said\n", "[stage-0 3/3] COPY y z", "naming to a:1", "type=gha is not supported", "mode=max has no effect", "--cache-from type=local has no effect"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not told in %q", want, all)
		}
	}
}
