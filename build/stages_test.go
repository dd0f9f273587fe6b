package build_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/build"
	"github.com/stackrun/stack/internal/sandbox"
)

// TestStages: only what the target needs is built; stages, images and contexts by name.
func TestStages(t *testing.T) {
	h := newHost(t)
	h.write("ctx/f", "of the context")
	const text = `ARG BASE=busybox
FROM ${BASE} AS one
ENV FROM_ONE=1
RUN echo one >/one
FROM busybox AS broken
RUN false
FROM one AS two
RUN test "$FROM_ONE" = 1 && cp /one /two
FROM scratch AS out
COPY --from=two /two /two
COPY --from=ctx f /f
`
	contexts := func(r *build.Request) { r.Contexts = map[string]string{"ctx": filepath.Join(h.context, "ctx")} }
	info, _ := h.make(text, contexts)
	h.has(info.ID, "/", "0644 0:0 /f = of the context", "0644 0:0 /two = one\n")
	if c := h.config(info.ID); c.Config.WorkingDir != "/" || !slices.Contains(c.Config.Env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") {
		t.Errorf("the configuration on scratch is %+v", c.Config)
	}
	one, _ := h.make(text, func(r *build.Request) { r.Target = "ONE" })
	if !slices.Contains(h.files(one.ID, "/"), "0644 0:0 /one = one\n") {
		t.Error("target one has no /one")
	}
	if text := h.refused(text, func(r *build.Request) { r.Target = "broken" }); !strings.Contains(text, "Dockerfile:6: RUN false: exit code 1") {
		t.Errorf("the stage that fails: %s", text)
	}
	if text := h.refused(text, func(r *build.Request) { r.Target = "none" }); !strings.Contains(text, "there are one, broken, two, out") {
		t.Errorf("a stage that is not there: %s", text)
	}
	// A context takes the place of what is named as it is.
	swapped, _ := h.make("FROM anything/at-all:1\nRUN test -e /one\n", func(r *build.Request) {
		r.Contexts = map[string]string{"anything/at-all:1": "docker-image://base:1"}
	}, func(r *build.Request) {
		h.make(text, func(r *build.Request) { r.Target, r.Tags = "one", []string{"base:1"} })
	})
	_ = swapped
	if text := h.refused("FROM ${NOTHING}\n"); !strings.Contains(text, "the name of the base is empty") {
		t.Errorf("a base without a name: %s", text)
	}
	if text := h.refused("FROM --platform=linux/s390x busybox\n"); !strings.Contains(text, "Dockerfile:1") || !strings.Contains(text, "linux/s390x") {
		t.Errorf("another platform: %s", text)
	}
	h.make("FROM --platform=$BUILDPLATFORM busybox\nARG TARGETARCH\nRUN test -n \"$TARGETARCH\"\n")
}

// TestStagesSideBySide: two stages that wait for each other's sign come to their end only at the same time.
func TestStagesSideBySide(t *testing.T) {
	h := newHost(t)
	h.make(`FROM busybox AS a
RUN --mount=type=cache,target=/c touch /c/a; while ! test -e /c/b; do sleep 0.01; done
FROM busybox AS b
RUN --mount=type=cache,target=/c touch /c/b; while ! test -e /c/a; do sleep 0.01; done
FROM busybox
COPY --from=a /etc/passwd /a
COPY --from=b /etc/passwd /b
`)
}

// TestOnbuild: the triggers of a base run behind its FROM, once.
func TestOnbuild(t *testing.T) {
	h := newHost(t)
	h.write("f", "f")
	base, _ := h.make("FROM busybox\nONBUILD COPY f /on/\nONBUILD RUN echo $X >/on/x\nONBUILD ENV Y=1\nONBUILD COPY --from=other /made /on/made\n", func(r *build.Request) { r.Tags = []string{"base"} })
	if n := len(base.Config.OnBuild); n != 4 {
		t.Fatalf("there are %d triggers", n)
	}
	info, _ := h.make("FROM busybox AS other\nRUN echo made >/made\nFROM base\nRUN cp /on/f /on/g\n")
	h.has(info.ID, "/on", "0644 0:0 /on/f = f", "0644 0:0 /on/g = f", "0644 0:0 /on/made = made\n", "0644 0:0 /on/x = \n")
	if len(info.Config.OnBuild) != 0 || !slices.Contains(info.Config.Env, "Y=1") {
		t.Errorf("the configuration is %+v", info.Config)
	}
	if text := h.refused("FROM base\n"); !strings.HasPrefix(text, "Dockerfile:1: ONBUILD COPY --from=other") {
		t.Errorf("a trigger that names a stage that is not there: %s", text)
	}
}

// TestConfiguration: every instruction that only configures, and the history.
func TestConfiguration(t *testing.T) {
	h := newHost(t)
	info, _ := h.make(`FROM busybox
MAINTAINER somebody
SHELL ["/bin/sh", "-ec"]
ENTRYPOINT exec cat
STOPSIGNAL SIGQUIT
USER web:staff
VOLUME /data ["/logs"]
VOLUME ["/more"]
HEALTHCHECK --interval=5s --timeout=2s --retries=4 --start-period=1s CMD test -e /ok
LABEL one=1 two="2 3"
`, func(r *build.Request) { r.Labels = map[string]string{"two": "over", "three": "3"} })
	c := h.config(info.ID)
	if c.Author != "somebody" || !slices.Equal(c.Config.Entrypoint, []string{"/bin/sh", "-ec", "exec cat"}) || c.Config.Cmd != nil ||
		c.Config.StopSignal != "SIGQUIT" || c.Config.User != "web:staff" || len(c.Config.Volumes) != 3 ||
		c.Config.Labels["one"] != "1" || c.Config.Labels["two"] != "over" || c.Config.Labels["three"] != "3" {
		t.Errorf("the configuration is %+v", c.Config)
	}
	if hc := c.Config.Healthcheck; hc == nil || !slices.Equal(hc.Test, []string{"CMD-SHELL", "test -e /ok"}) || hc.Interval != 5*time.Second || hc.Retries != 4 {
		t.Errorf("the health check is %+v", hc)
	}
	var layers int
	for _, e := range c.History {
		if !e.EmptyLayer {
			layers++
		}
		if e.Created.IsZero() && e.Comment == "stack" {
			t.Errorf("an entry without a time: %+v", e)
		}
	}
	// The base of the tests has one layer and no history.
	if len(c.RootFS.DiffIDs) != 1 || layers != 0 || len(c.History) != 11 {
		t.Errorf("%d layers, %d of them in a history of %d", len(c.RootFS.DiffIDs), layers, len(c.History))
	}
	if both, _ := h.make("FROM busybox\nCMD [\"a\"]\nENTRYPOINT [\"b\"]\n"); !slices.Equal(both.Config.Cmd, []string{"a"}) || !slices.Equal(both.Config.Entrypoint, []string{"b"}) {
		t.Errorf("a command of the same stage is %q behind the entrypoint %q", both.Config.Cmd, both.Config.Entrypoint)
	}
	for _, bad := range []string{"STOPSIGNAL NONE", "EXPOSE 70000", "EXPOSE 1/icmp", "USER", "FROM a b", "HEALTHCHECK --interval=x CMD true", "NONSENSE", "RUN <<EOF"} {
		if text := h.refused("FROM busybox\n" + bad + "\n"); !strings.HasPrefix(text, "Dockerfile:2") {
			t.Errorf("%s: %s", bad, text)
		}
	}
}

// TestReproducible: with SOURCE_DATE_EPOCH two hosts make the same image of the same sources.
func TestReproducible(t *testing.T) {
	sandbox.Require(t)
	const text = "FROM busybox\nWORKDIR /w\nCOPY . .\nRUN echo x >y && mkdir d\nENV A=1\n"
	epoch := func(r *build.Request) { r.Args = map[string]string{"SOURCE_DATE_EPOCH": "1700000000"} }
	var ids []v1.Hash
	for _, name := range []string{"one", "two"} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.write("f", "f")
			info, _ := h.make(text, epoch)
			ids = append(ids, info.ID)
			if !info.Created.Equal(time.Unix(1700000000, 0)) {
				t.Errorf("it was created %s", info.Created)
			}
		})
	}
	if ids[0] != ids[1] {
		t.Errorf("the images are %s and %s", ids[0], ids[1])
	}
}

// TestDockerfileOfContext reads files by their paths, and refuses what is none.
func TestDockerfileOfContext(t *testing.T) {
	h := newHost(t)
	h.write("Dockerfile", "# syntax=docker/dockerfile:1\n# escape=`\nFROM busybox\nRUN echo a `\n  b\n")
	_, p := h.make("", func(r *build.Request) { r.Dockerfile = filepath.Join(h.context, "Dockerfile") })
	if out := p.output.String(); out != "a b\n" || len(p.warnings()) != 0 {
		t.Errorf("the output is %q, the warnings %q", out, p.warnings())
	}
	for what, path := range map[string]string{"a directory": h.context, "nothing": filepath.Join(h.context, "none"), "a device": "/dev/zero"} {
		if text := h.refused("", func(r *build.Request) { r.Dockerfile = path }); !strings.Contains(text, "cannot read it") {
			t.Errorf("%s: %s", what, text)
		}
	}
	if text := h.refused("FROM busybox\nCOPY f /\n", func(r *build.Request) { r.Context = "" }); !strings.Contains(text, "there is no context") {
		t.Errorf("without a context: %s", text)
	}
	if text := h.refused("FROM busybox\n", func(r *build.Request) { r.Context = os.DevNull }); !strings.Contains(text, "not a directory") {
		t.Errorf("a context that is none: %s", text)
	}
}
