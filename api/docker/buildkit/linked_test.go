package buildkit

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/stackrun/stack/api/docker/buildkit/buildkittest"
	"github.com/stackrun/stack/api/docker/buildkit/message"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/reconcile"
)

// field is the first of b with that number.
func field(t *testing.T, b []byte, num protowire.Number) []byte {
	t.Helper()
	for len(b) > 0 {
		n, kind, size := protowire.ConsumeTag(b)
		if size < 0 || kind != protowire.BytesType {
			break
		}
		value, length := protowire.ConsumeBytes(b[size:])
		if length < 0 {
			break
		}
		if n == num {
			return value
		}
		b = b[size+length:]
	}
	t.Fatalf("there is no field %d", num)
	return nil
}

// TestLinked: what comes of one build is a context of another, as bake asks for it, and is made once for that.
func TestLinked(t *testing.T) {
	var firsts atomic.Int32
	given := make(chan string, 1)
	e := &engine{build: func(ctx context.Context, b reconcile.ImageBuild, _ func(reconcile.BuildProgress)) (image.Info, error) {
		if b.Target == "first" {
			firsts.Add(1)
			return image.Info{ID: made}, nil
		}
		from, err := b.Fetch(ctx, t.TempDir())
		given <- from.Contexts["base"]
		return image.Info{ID: made}, err
	}}
	d := serve(t, e)
	d.lend("me", "s", buildkittest.Sends(map[string][]buildkittest.File{"dockerfile": {{Path: "Dockerfile", Content: "FROM base", Mode: 0o644}}, "context": nil}))
	c := d.calls("me")
	const bridge = "/moby.buildkit.v1.frontend.LLBBridge/"
	over := make(chan error, 2)
	begin := func(ref string, attrs map[string]string, more ...[]byte) (http.Header, []byte) {
		go func() {
			_, err := c.Call(t.Context(), "/moby.buildkit.v1.Control/Solve", nil, buildkittest.Join(buildkittest.Text(1, ref), buildkittest.Text(5, "s"), moby))
			over <- err
		}()
		h := http.Header{"buildkit-controlapi-buildid": {ref}}
		solved, err := c.Call(t.Context(), bridge+"Solve", h, buildkittest.Join(append(more, buildkittest.Text(2, "dockerfile.v0"), buildkittest.Texts(3, attrs))...))
		if err != nil {
			t.Fatal(err)
		}
		return h, field(t, solved, 3)
	}
	first, result := begin("one", map[string]string{"target": "first"})
	ref := field(t, result, 3)
	name, err := message.ReadRef(ref)
	if err != nil {
		t.Fatal(err)
	}
	input := buildkittest.Sub(13, buildkittest.Text(1, "one"), buildkittest.Sub(2, field(t, ref, 2)))
	second, other := begin("two", map[string]string{"context:base": "input:one"}, input)
	for range 2 {
		if _, err := c.Call(t.Context(), bridge+"Evaluate", first, buildkittest.Text(1, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Call(t.Context(), bridge+"Return", second, buildkittest.Sub(1, other)); err != nil {
		t.Fatal(err)
	}
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	if got, want := <-given, "docker-image://"+made.String(); got != want {
		t.Errorf("the context is %q, expected %q", got, want)
	}
	if n := firsts.Load(); n != 1 {
		t.Errorf("it is made %d times", n)
	}
	if _, err := c.Call(t.Context(), bridge+"Return", first, buildkittest.Sub(1, result)); err != nil {
		t.Fatal(err)
	}
	if err := <-over; err != nil {
		t.Fatal(err)
	}
}
