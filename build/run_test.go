package build_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/build"
	"github.com/stackrun/stack/internal/sandbox"
)

// layer lists what the last layer of an image holds, as overlayfs has it.
func (h *host) layer(id v1.Hash) []string {
	h.t.Helper()
	layers := h.config(id).RootFS.DiffIDs
	top := h.roots.InState("images", "layers", layers[len(layers)-1].Algorithm, layers[len(layers)-1].Hex, "fs")
	var out []string
	must(h.t, filepath.Walk(top, func(path string, info os.FileInfo, err error) error {
		if path != top {
			out = append(out, strings.TrimPrefix(path, top))
		}
		return err
	}))
	return out
}

// TestRunLayer: a layer has what the command has changed, and nothing of what a container is given.
func TestRunLayer(t *testing.T) {
	h := newHost(t)
	info, _ := h.make("FROM busybox\nRUN mkdir /made && echo x >/made/x && rm /etc/group\n")
	got := h.layer(info.ID)
	if want := []string{"/etc", "/etc/group", "/made", "/made/x"}; !slices.Equal(got, want) {
		t.Errorf("the layer has %q, expected %q", got, want)
	}
	// In an image without anything, every mount point is made.
	h.write("busybox", "")
	must(t, os.Remove(filepath.Join(h.context, "busybox")))
	program, err := os.ReadFile(sandbox.Tool(t, "busybox"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(h.context, "busybox"), program, 0o755))
	info, _ = h.make("FROM scratch\nCOPY busybox /busybox\nRUN [\"/busybox\", \"touch\", \"/x\"]\n")
	if got := h.layer(info.ID); !slices.Equal(got, []string{"/x"}) {
		t.Errorf("the layer on scratch has %q, expected /x alone", got)
	}
}

// TestRunWithoutChange makes no layer.
func TestRunWithoutChange(t *testing.T) {
	h := newHost(t)
	info, _ := h.make("FROM busybox\nRUN true\nRUN --mount=type=tmpfs,target=/scratch --mount=type=secret,id=none true\n")
	c := h.config(info.ID)
	if n := len(c.RootFS.DiffIDs); n != 1 {
		t.Errorf("there are %d layers, expected the base's alone", n)
	}
	if last := c.History[len(c.History)-1]; !last.EmptyLayer {
		t.Errorf("the history's last entry is %+v", last)
	}
}

// TestRunSees: environment, user, directory, names and network of a command.
func TestRunSees(t *testing.T) {
	h := newHost(t)
	_, p := h.make(`FROM busybox
ARG FOO=bar
ARG UNSET
ENV A=1 B=$FOO
WORKDIR /w
USER web
RUN echo "$FOO/$A/$B/${UNSET-none}/$HOME/$(id -u):$(id -g)/$(pwd)"; cat /etc/hosts; ls /sys/class/net; ls /run/secrets 2>/dev/null; test ! -e /.dockerenv
`)
	out := p.output.String()
	for _, want := range []string{"bar/1/bar/none/", "/1000:1001//w\n", "localhost", "eth0\nlo\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("the command does not see %q: %s", want, out)
		}
	}
	_, p = h.make("FROM busybox\nRUN --network=none ls /sys/class/net; echo done\n")
	if out := p.output.String(); out != "lo\ndone\n" {
		t.Errorf("without a network there is %q", out)
	}
	_, p = h.make("FROM busybox\nRUN ls /sys/class/net; readlink /proc/self/ns/net\n", func(r *build.Request) { r.Network = "host" })
	own, err := os.Readlink("/proc/self/ns/net")
	must(t, err)
	if out := p.output.String(); !strings.Contains(out, own) {
		t.Errorf("with the host's network the namespace is %q, the host's is %s", out, own)
	}
}

// TestNetworkIsUsedAgain: by the next command, but not behind one that could change it.
func TestNetworkIsUsedAgain(t *testing.T) {
	h := newHost(t)
	namespace := func(privileged bool) string {
		_, p := h.make("FROM busybox\nRUN readlink /proc/self/ns/net\n", func(r *build.Request) { r.Privileged, r.NoCache = privileged, true })
		return p.output.String()
	}
	first, second := namespace(false), namespace(false)
	if first != second {
		t.Errorf("two commands were in %s and %s", first, second)
	}
	if namespace(true); namespace(false) == first {
		t.Errorf("a command is in %s again, behind a privileged one", first)
	}
}

func TestRunFails(t *testing.T) {
	h := newHost(t)
	_, p, err := h.try("FROM busybox\nRUN echo one; echo two >&2; exit 3\nRUN touch /never\n")
	var placed *build.Error
	if !errors.As(err, &placed) || placed.Line != 2 || !strings.Contains(err.Error(), "exit code 3") || !strings.Contains(err.Error(), "two") {
		t.Errorf("the error is %v", err)
	}
	if got := p.phases(); !slices.Equal(got, []string{"FROM done", "RUN failed"}) {
		t.Errorf("phases are %q", got)
	}
	if text := h.refused("FROM busybox\nRUN [\"/nothing\"]\n"); !strings.Contains(text, "/nothing") {
		t.Errorf("a program that is not there: %s", text)
	}
	if text := h.refused("FROM busybox\nRUN sh -c 'kill -9 $$'; exit $?\n"); !strings.Contains(text, "137") {
		t.Errorf("a command that was killed: %s", text)
	}
}

// TestRunHeredoc: a script of the shell's, one with its own interpreter, several, and one with tabs.
func TestRunHeredoc(t *testing.T) {
	h := newHost(t)
	info, p := h.make("FROM busybox\n" +
		"RUN <<EOF\necho a >/a\necho b >/b\nEOF\n" +
		"RUN <<-EOT cat >/c\n\tc $PATH\nEOT\n" +
		"RUN <<EOF\n#!/bin/cat\nshown\nEOF\n" +
		"COPY <<EOF /d\n$HOME d\nEOF\n" +
		"COPY <<'EOF' <<two /dir/\n$HOME e\nEOF\nf\ntwo\n")
	h.has(info.ID, "/dir", "0644 0:0 /dir/EOF = $HOME e\n", "0644 0:0 /dir/two = f\n")
	files := h.files(info.ID, "/")
	for _, want := range []string{"0644 0:0 /a = a\n", "0644 0:0 /b = b\n", "0644 0:0 /d =  d\n"} {
		if !slices.Contains(files, want) {
			t.Errorf("there is no %q in %q", want, files)
		}
	}
	if out := p.output.String(); !strings.Contains(out, "shown") {
		t.Errorf("the script with an interpreter of its own wrote %q", out)
	}
}

// TestRunReplacesPasswd: what a command does to the files that the next step reads leads nowhere.
func TestRunReplacesPasswd(t *testing.T) {
	h := newHost(t)
	h.write("f", "f")
	for _, c := range []struct{ what, prepare, want string }{
		{"a link to a file of the host", "ln -sf /proc/1/root/etc/passwd /etc/passwd", "no user"},
		{"an endless device", "rm /etc/passwd && mknod /etc/passwd c 1 5", "expected a regular file"},
		{"a FIFO", "rm /etc/passwd && mknod /etc/passwd p", "expected a regular file"},
		{"a giant", "rm /etc/passwd && dd if=/dev/zero of=/etc/passwd bs=1M count=0 seek=2 2>/dev/null", "at most"},
		{"a link out of the root", "ln -sf ../../../../etc/passwd /etc/passwd", ""},
	} {
		text := h.refused(fmt.Sprintf("FROM busybox\nRUN %s\nCOPY --chown=nobody-here f /f\n", c.prepare))
		if !strings.Contains(text, c.want) || !strings.Contains(text, "Dockerfile:3") {
			t.Errorf("%s: %s", c.what, text)
		}
	}
}

// TestRunLeavesProcesses: what a command starts in the background ends with it.
func TestRunLeavesProcesses(t *testing.T) {
	h := newHost(t)
	info, _ := h.make("FROM busybox\nRUN (sleep 600; touch /late) & echo $! >/pid\nRUN test ! -e /late\n")
	if files := h.files(info.ID, "/"); slices.ContainsFunc(files, func(s string) bool { return strings.Contains(s, "/late") }) {
		t.Errorf("there is %q", files)
	}
}

// TestSecret: a command has it, and nothing else ever does.
func TestSecret(t *testing.T) {
	h := newHost(t)
	const secret = "correct horse battery staple"
	h.write("secret", "from a file")
	given := func(r *build.Request) {
		r.Secrets = []build.Secret{{ID: "key", Value: []byte(secret)}, {ID: "file", Source: filepath.Join(h.context, "secret")}}
	}
	info, p := h.make(`FROM busybox
RUN --mount=type=secret,id=key sha256sum /run/secrets/key | grep -q c4bbcb1fbec99d65bf59d85c8cb62ee2db963f0fe106f483d9afa73bd4e39a8a && stat -c %a:%u /run/secrets/key
RUN --mount=type=secret,id=key,env=KEY test -n "$KEY" && test ! -e /run/secrets/key
RUN --mount=type=secret,id=file,target=/etc/deep/key,uid=1000,mode=0440 cat /etc/deep/key && stat -c %a:%u /etc/deep/key
RUN --mount=type=secret,id=absent test ! -e /run/secrets/absent
`, given)
	if out := p.output.String(); !strings.Contains(out, "400:0") || !strings.Contains(out, "from a file440:1000") {
		t.Errorf("the output is %q", out)
	}
	if n := len(h.config(info.ID).RootFS.DiffIDs); n != 1 {
		t.Errorf("there are %d layers: a secret has left something", n)
	}
	must(t, filepath.WalkDir(h.roots.State, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), secret) {
			t.Errorf("%s has the secret", path)
		}
		return err
	}))
	if text := h.refused("FROM busybox\nRUN --mount=type=secret,id=absent,required=true true\n", given); !strings.Contains(text, `"absent"`) {
		t.Errorf("a secret that is required: %s", text)
	}
}

// TestMounts: bind of the context, of a stage, read-write; caches; tmpfs.
func TestMounts(t *testing.T) {
	h := newHost(t)
	h.write("src/main.txt", "source")
	h.write("src/skip.log", "ignored")
	h.write(".dockerignore", "**/*.log\n")
	info, p := h.make(`FROM busybox AS tools
RUN mkdir /tool && echo tool >/tool/t
FROM busybox
RUN --mount=type=bind,source=src,target=/src cat /src/main.txt && test ! -e /src/skip.log && ! touch /src/x 2>/dev/null
RUN --mount=type=bind,source=src,target=/src,rw touch /src/x && rm /src/main.txt
RUN --mount=type=bind,source=src/main.txt,target=/one cat /one
RUN --mount=type=bind,from=tools,source=/tool,target=/t cat /t/t
RUN --mount=type=cache,target=/root/.cache echo kept >>/root/.cache/f
RUN --mount=type=cache,target=/root/.cache cat /root/.cache/f && test ! -e /src
RUN --mount=type=cache,id=other,target=/c,from=tools,source=/tool,uid=1000,mode=0700 cat /c/t && stat -c %a:%u /c
RUN --mount=type=tmpfs,target=/tmpfs,size=1m touch /tmpfs/x && ! dd if=/dev/zero of=/tmpfs/big bs=1M count=2 2>/dev/null
`)
	out := p.output.String()
	for _, want := range []string{"sourcesource", "tool\n", "kept\n", "700:1000"} {
		if !strings.Contains(out, want) {
			t.Errorf("there is no %q in %q", want, out)
		}
	}
	if b, err := os.ReadFile(filepath.Join(h.context, "src/main.txt")); err != nil || string(b) != "source" {
		t.Errorf("the context's own file is %q: %v", b, err)
	}
	if n := len(h.config(info.ID).RootFS.DiffIDs); n != 1 {
		t.Errorf("there are %d layers, expected the base's alone: %q", n, h.layer(info.ID))
	}
}

// TestCancel: a build that is given up while a command runs leaves nothing, and what it has come through is not done again.
func TestCancel(t *testing.T) {
	h := newHost(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	enough := errors.New("enough")
	r := build.Request{Context: h.context, Inline: "FROM busybox\nRUN echo first >/first\nRUN echo running; sleep 600\n"}
	_, err := h.build.Build(ctx, r, func(p build.Progress) {
		if strings.Contains(string(p.Output), "running") {
			cancel(enough)
		}
	})
	if !errors.Is(err, enough) {
		t.Errorf("the error is %v", err)
	}
	list, err := h.run.List(context.Background())
	must(t, err)
	if len(list) > 0 {
		t.Errorf("there are %d containers", len(list))
	}
	_, p := h.make("FROM busybox\nRUN echo first >/first\n")
	if got := p.phases(); got[1] != "RUN cached" {
		t.Errorf("the first command is done again: %q", got)
	}
}
