package build_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stackrun/stack/build"
)

// TestBuild is one of each kind of step, built twice: the second time nothing is done and the image is the same.
func TestBuild(t *testing.T) {
	h := newHost(t)
	h.write("app/main.txt", "hello")
	h.write("app/sub/deep.txt", "deep")
	const text = `FROM busybox
ENV GREETING=hello NAME="a b"
WORKDIR /srv/app
COPY app ./
RUN echo "$GREETING $NAME" >out.txt && ls /srv/app
RUN ["/bin/sh", "-c", "echo json >json.txt"]
EXPOSE 80 443/tcp 5000-5002/udp
LABEL a=b
CMD ["cat", "out.txt"]
`
	info, p := h.make(text, func(r *build.Request) { r.Tags = []string{"app:1"} })
	want := []string{"FROM done", "ENV cached", "WORKDIR done", "COPY done", "RUN done", "RUN done", "EXPOSE cached", "LABEL cached", "CMD cached"}
	if got := p.phases(); !slices.Equal(got, want) {
		t.Errorf("phases are %q, expected %q", got, want)
	}
	if out := p.output.String(); !strings.Contains(out, "main.txt") {
		t.Errorf("the output is %q", out)
	}
	h.has(info.ID, "/srv",
		"0755 0:0 /srv/app/", "0644 0:0 /srv/app/json.txt = json\n", "0644 0:0 /srv/app/main.txt = hello", "0644 0:0 /srv/app/out.txt = hello a b\n",
		"0755 0:0 /srv/app/sub/", "0644 0:0 /srv/app/sub/deep.txt = deep")
	if c := info.Config; c.WorkingDir != "/srv/app" || c.Labels["a"] != "b" || !slices.Equal(c.Cmd, []string{"cat", "out.txt"}) || len(c.ExposedPorts) != 5 {
		t.Errorf("the configuration is %+v", c)
	}
	if !slices.Contains(info.Refs, "app:1") {
		t.Errorf("names are %q", info.Refs)
	}
	again, p := h.make(text, func(r *build.Request) { r.Tags = []string{"app:1"} })
	if again.ID != info.ID {
		t.Errorf("the second build gives %s, the first one gave %s", again.ID, info.ID)
	}
	if got := p.phases(); slices.ContainsFunc(got[1:], func(s string) bool { return !strings.HasSuffix(s, "cached") }) {
		t.Errorf("the second time phases are %q", got)
	}
}
