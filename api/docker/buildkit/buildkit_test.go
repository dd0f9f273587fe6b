package buildkit

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/stackrun/stack/api/docker/buildkit/grpc"
	"github.com/stackrun/stack/api/docker/buildkit/message"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/reconcile"
)

var made = v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("a", 64)}

// build asks for one as buildx does, and returns what the exporter tells.
func build(ctx context.Context, c *grpc.Client, ref, session string, attrs map[string]string, solve ...[]byte) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := make(chan string, 1)
	failed := make(chan error, 1)
	go func() {
		msg, err := c.Call(ctx, "/moby.buildkit.v1.Control/Solve", nil, join(append([][]byte{text(1, ref), text(5, session)}, solve...)...))
		out <- string(msg)
		failed <- err
	}()
	h := http.Header{"buildkit-controlapi-buildid": {ref}}
	if _, err := c.Call(ctx, "/moby.buildkit.v1.frontend.LLBBridge/Ping", h, nil); err != nil {
		return "", err
	}
	var back []byte
	solved, err := c.Call(ctx, "/moby.buildkit.v1.frontend.LLBBridge/Solve", h, join(text(2, "dockerfile.v0"), texts(3, attrs)))
	if err == nil {
		_, _, n := protowire.ConsumeTag(solved) // of field 3, that is given back as field 1
		result, _ := protowire.ConsumeBytes(solved[n:])
		back = sub(1, result)
	} else {
		back = sub(2, number(1, uint64(grpc.CodeOf(err))), text(2, err.Error()))
	}
	if _, err := c.Call(ctx, "/moby.buildkit.v1.frontend.LLBBridge/Return", h, back); err != nil {
		return "", err
	}
	return <-out, <-failed
}

var moby = sub(13, text(1, "moby"), texts(2, map[string]string{"name": "a:1,b:2"}))

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
		secret, err := b.FindSecret("s")
		if err != nil || string(secret.Value) != "word" {
			t.Errorf("%v, %v", secret, err)
		}
		if none, err := b.FindSecret("none"); err != nil || none != nil {
			t.Errorf("%v, %v", none, err)
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
		say(reconcile.BuildProgress{Step: 3, Steps: 3, Stage: "0", Text: "COPY y z", Phase: reconcile.BuildCached})
		return image.Info{ID: made}, nil
	}
	d := serve(t, e)
	m := sends(map[string][]file{
		"dockerfile": {{path: "Dockerfile", content: "FROM scratch", mode: 0o644}},
		"context": {{path: "dir", mode: 0o755 | os.ModeDir}, {path: "dir/f", content: "content", mode: 0o640}, {path: "empty", mode: 0o600},
			{path: "hard", mode: 0o640, link: "dir/f"}, {path: "soft", mode: 0o777 | os.ModeSymlink, link: "dir/f"}},
		"named": {{path: "m", content: "more", mode: 0o644}},
	})
	m["/moby.buildkit.secrets.v1.Secrets/GetSecret"] = grpc.Unary(func(_ context.Context, _ http.Header, in []byte) ([]byte, error) {
		if id, _ := message.ReadRef(in); id == "s" {
			return text(1, "word"), nil
		}
		return nil, grpc.Errorf(grpc.NotFound, "no such secret")
	})
	m["/moby.filesync.v1.Auth/Credentials"] = grpc.Unary(func(context.Context, http.Header, []byte) ([]byte, error) {
		return join(text(1, "u"), text(2, "p")), nil
	})
	d.lend("me", "session", m)
	c := d.calls("me")
	said := make(chan string)
	go func() { said <- d.told(c, "ref") }()
	out, err := build(t.Context(), c, "ref", "session", map[string]string{
		"filename": "Dockerfile", "build-arg:A": "1", "target": "last", "context:more": "local:named", "context:base": "docker-image://busybox", "vcs:revision": "x", "image-resolve-mode": "local",
	}, moby)
	if err != nil || !strings.Contains(out, "containerimage.config.digest") || !strings.Contains(out, made.String()) || !strings.Contains(out, "a:1,b:2") {
		t.Errorf("%q, %v", out, err)
	}
	all := <-said
	for _, want := range []string{"[internal] load build definition from Dockerfile", "[internal] load build context", "[first 2/3] RUN x", "said\n", "[3/3] COPY y z", "naming to a:1"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not told in %q", want, all)
		}
	}
}

// told is all that is told of a build, as it comes.
func (d *daemon) told(c *grpc.Client, ref string) string {
	s, err := c.Open(d.t.Context(), "/moby.buildkit.v1.Control/Status", nil)
	if err != nil {
		d.t.Error(err)
		return ""
	}
	defer s.Close()
	if err := s.Send(text(1, ref)); err != nil {
		d.t.Error(err)
	}
	s.CloseSend()
	var all strings.Builder
	for {
		msg, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return all.String()
		}
		if err != nil {
			d.t.Error(err)
			return all.String()
		}
		all.Write(msg)
	}
}
