package buildkit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackrun/stack/api/docker/buildkit/buildkittest"
	"github.com/stackrun/stack/api/docker/buildkit/grpc"
	"github.com/stackrun/stack/api/docker/buildkit/message"
	"github.com/stackrun/stack/api/docker/buildkit/session"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sourcetree"
	"github.com/stackrun/stack/reconcile"
)

// sessionOf is one that a client lends, on which m answers.
func (d *daemon) sessionOf(all *session.Sessions, m grpc.Methods) *session.Session {
	d.t.Helper()
	d.lend("me", "s", m)
	s, err := all.Get(d.t.Context(), "s", "me")
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

// TestContained: whatever a session sends, nothing is made beside the directory that it is for, and what is no file, directory or link is refused.
func TestContained(t *testing.T) {
	base := t.TempDir()
	canary := filepath.Join(base, "canary")
	if err := os.WriteFile(canary, []byte("untouched"), 0o644); err != nil {
		t.Fatal(err)
	}
	dirs := map[string][]buildkittest.File{
		"climbing":           {{Path: "../canary", Content: "x", Mode: 0o644}},
		"climbing within":    {{Path: "a/../../canary", Content: "x", Mode: 0o644}},
		"absolute":           {{Path: canary, Content: "x", Mode: 0o644}},
		"nothing":            {{Path: "", Content: "x", Mode: 0o644}},
		"NUL":                {{Path: "a\x00b", Content: "x", Mode: 0o644}},
		"long":               {{Path: strings.Repeat("d/", 4000) + "f", Mode: 0o644}},
		"through a link":     {{Path: "out", Mode: fs.ModeSymlink, Link: ".."}, {Path: "out/canary", Content: "x", Mode: 0o644}},
		"through absolute":   {{Path: "out", Mode: fs.ModeSymlink, Link: base}, {Path: "out/canary", Content: "x", Mode: 0o644}},
		"directory of one":   {{Path: "out", Mode: fs.ModeSymlink, Link: base}, {Path: "out", Mode: fs.ModeDir | 0o777}},
		"link to elsewhere":  {{Path: "f", Mode: 0o644, Link: "../canary"}},
		"link to absolute":   {{Path: "f", Mode: 0o644, Link: canary}},
		"link to a link":     {{Path: "s", Mode: fs.ModeSymlink, Link: canary}, {Path: "f", Mode: 0o644, Link: "s"}},
		"a link in its room": {{Path: "f", Content: "x", Mode: 0o644}, {Path: "f", Mode: fs.ModeSymlink, Link: canary}},
		"device":             {{Path: "null", Mode: fs.ModeDevice | fs.ModeCharDevice | 0o666}},
		"pipe":               {{Path: "p", Mode: fs.ModeNamedPipe}},
		"socket":             {{Path: "p", Mode: fs.ModeSocket}},
	}
	s := openSession(t, dirs)
	for name := range dirs {
		dir := filepath.Join(base, "context")
		if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)); err != nil {
			t.Fatal(err)
		}
		err := s.Receive(t.Context(), name, dir, session.Selection{}, sourcetree.Limits{}, nil)
		if !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := os.ReadFile(canary); err != nil || string(got) != "untouched" {
			t.Fatalf("%s: the canary is %q, %v", name, got, err)
		}
		if entries, err := os.ReadDir(base); err != nil || len(entries) != 2 {
			t.Fatalf("%s: beside it there is %v, %v", name, entries, err)
		}
	}
}

// openSession is a session with a client that has these directories.
func openSession(t *testing.T, dirs map[string][]buildkittest.File) *session.Session {
	t.Helper()
	return sessionWith(t, buildkittest.Sends(dirs))
}

func sessionWith(t *testing.T, m grpc.Methods) *session.Session {
	t.Helper()
	s := &server{builds: map[string]*solve{}, changed: make(chan struct{})}
	d := listen(t, s.routes())
	return d.sessionOf(&s.sessions, m)
}

// packets answers DiffCopy with what they say, whatever was asked for, until they have said all.
func packets(send func(s *grpc.Stream) error) grpc.Methods {
	return grpc.Methods{"/moby.filesync.v1.FileSync/DiffCopy": func(_ context.Context, s *grpc.Stream) error { return send(s) }}
}

func data(id uint64, part string) []byte {
	return buildkittest.Join(buildkittest.Number(1, uint64(message.PacketData)), buildkittest.Number(3, id), buildkittest.Text(4, part))
}

// TestBounds: what has no end is ended.
func TestBounds(t *testing.T) {
	endless := func(next func(n int) []byte) func(*grpc.Stream) error {
		return func(s *grpc.Stream) error {
			for n := 0; ; n++ {
				if err := s.Send(next(n)); err != nil {
					return err
				}
			}
		}
	}
	one := buildkittest.File{Path: "f", Content: "x", Mode: 0o644}.Stat()
	large := strings.Repeat("x", 32<<10)
	for name, c := range map[string]struct {
		send func(*grpc.Stream) error
		says string
	}{
		"entries": {endless(func(n int) []byte {
			return buildkittest.File{Path: fmt.Sprintf("d%d", n), Mode: fs.ModeDir | 0o755}.Stat()
		}), "more than 1000 entries"},
		"bytes": {endless(func(n int) []byte {
			if n == 0 {
				return one
			}
			return data(0, large)
		}), "too large"},
		"not asked for": {endless(func(int) []byte { return data(7, "x") }), "was not asked for"},
		"many at a time": {endless(func(n int) []byte {
			if n < 500 {
				return buildkittest.File{Path: fmt.Sprintf("f%d", n), Mode: 0o644}.Stat()
			}
			return data(uint64(n-500), "x")
		}), "at a time"},
		"the end of the names": {endless(func(int) []byte { return buildkittest.Number(1, uint64(message.PacketStat)) }), "go on after all"},
		"unknown":              {endless(func(int) []byte { return buildkittest.Number(1, 9) }), "type 9"},
		"no message":           {endless(func(int) []byte { return []byte{0xff} }), "malformed"},
		"nothing at all":       {func(*grpc.Stream) error { return nil }, "too early"},
		"half": {func(s *grpc.Stream) error {
			return errors.Join(s.Send(one), s.Send(buildkittest.Number(1, uint64(message.PacketStat))))
		}, "too early"},
		"an end without content": {func(s *grpc.Stream) error {
			return errors.Join(s.Send(one), s.Send(buildkittest.Number(1, uint64(message.PacketStat))), s.Send(buildkittest.Number(1, uint64(message.PacketFin))))
		}, "too early"},
		"a fault": {func(s *grpc.Stream) error {
			return s.Send(buildkittest.Join(buildkittest.Number(1, uint64(message.PacketErr)), buildkittest.Text(4, "disk on fire")))
		}, "disk on fire"},
	} {
		t.Run(name, func(t *testing.T) {
			s := sessionWith(t, packets(c.send))
			err := s.Receive(t.Context(), "context", t.TempDir(), session.Selection{}, sourcetree.Limits{Bytes: 1 << 20, Entries: 1000}, nil)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, expected %q", err, c.says)
			}
		})
	}
}

// TestOthersSession: a session, and a build, are for the user that has opened them; and an id is one session's.
func TestOthersSession(t *testing.T) {
	e := &engine{build: func(context.Context, reconcile.ImageBuild, func(reconcile.BuildProgress)) (image.Info, error) {
		t.Error("it is built")
		return image.Info{}, nil
	}}
	d := serve(t, e)
	d.lend("me", "mine", buildkittest.Sends(nil))
	if _, status := d.try("/session", "me", http.Header{headSession: {"mine"}}); !strings.Contains(status, " 409 ") {
		t.Errorf("a second session of one id: %s", status)
	}
	if _, status := d.try("/session", "me", nil); !strings.Contains(status, " 400 ") {
		t.Errorf("a session without an id: %s", status)
	}
	_, err := buildkittest.Build(t.Context(), d.calls("other"), "ref", "mine", nil, moby)
	if err == nil || !strings.Contains(err.Error(), "another user's") {
		t.Errorf("%v", err)
	}
}

// TestIgnoreFileLeadsOut: a .dockerignore, which is read by its name, is refused where it is a link out of its directory, whichever of the build's it is in.
func TestIgnoreFileLeadsOut(t *testing.T) {
	out := buildkittest.File{Path: ".dockerignore", Mode: fs.ModeSymlink, Link: "/dev/zero"}
	for name, c := range map[string]struct {
		first, then map[string][]buildkittest.File
	}{
		"context":       {map[string][]buildkittest.File{"context": {out}}, nil},
		"another later": {nil, map[string][]buildkittest.File{"context": {out}}},
		"further":       {nil, map[string][]buildkittest.File{"lib": {out}}},
	} {
		t.Run(name, func(t *testing.T) {
			e := &engine{build: func(ctx context.Context, b reconcile.ImageBuild, _ func(reconcile.BuildProgress)) (image.Info, error) {
				_, err := b.Fetch(ctx, t.TempDir())
				return image.Info{}, err
			}}
			const transfer = "/moby.filesync.v1.FileSync/DiffCopy"
			d := serve(t, e)
			d.lend("me", "s", grpc.Methods{transfer: func(ctx context.Context, s *grpc.Stream) error {
				dirs := map[string][]buildkittest.File{"context": {}, "lib": {}}
				sent := c.then
				if s.Header.Get("include-patterns") != "" { // before the context
					dirs["dockerfile"] = []buildkittest.File{{Path: "Dockerfile", Content: "FROM x", Mode: 0o644}}
					sent = c.first
				}
				maps.Copy(dirs, sent)
				return buildkittest.Sends(dirs)[transfer](ctx, s)
			}})
			_, err := buildkittest.Build(t.Context(), d.calls("me"), "ref", "s", map[string]string{"context:lib": "local:lib"}, moby)
			if err == nil || !strings.Contains(err.Error(), ".dockerignore") {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestGone: a build ends with its client, by whichever connection that is noticed.
func TestGone(t *testing.T) {
	for name, end := range map[string]func(session, calls interface{ Close() error }){
		"session": func(session, _ interface{ Close() error }) { session.Close() },
		"calls":   func(_, calls interface{ Close() error }) { calls.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			begun, ended := make(chan struct{}), make(chan error, 1)
			e := &engine{build: func(ctx context.Context, _ reconcile.ImageBuild, _ func(reconcile.BuildProgress)) (image.Info, error) {
				close(begun)
				<-ctx.Done()
				ended <- ctx.Err()
				return image.Info{}, ctx.Err()
			}}
			d := serve(t, e)
			lent := d.lend("me", "s", buildkittest.Sends(nil))
			calls := d.calls("me")
			over := make(chan error, 1)
			go func() {
				_, err := buildkittest.Build(t.Context(), calls, "ref", "s", map[string]string{}, moby)
				over <- err
			}()
			<-begun
			end(lent, calls)
			if err := <-ended; err == nil {
				t.Error("it goes on")
			}
			if err := <-over; err == nil {
				t.Error("the client is told that it is done")
			}
		})
	}
}

// TestRefused: what cannot be done is refused by its name, and nothing is built.
func TestRefused(t *testing.T) {
	e := &engine{build: func(context.Context, reconcile.ImageBuild, func(reconcile.BuildProgress)) (image.Info, error) {
		t.Error("it is built")
		return image.Info{}, nil
	}}
	d := serve(t, e)
	d.lend("me", "s", buildkittest.Sends(nil))
	c := d.calls("me")
	n := 0
	try := func(says string, attrs map[string]string, solve ...[]byte) {
		t.Helper()
		n++
		_, err := buildkittest.Build(t.Context(), c, fmt.Sprint(n), "s", attrs, solve...)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v, expected %q", attrs, err, says)
		}
	}
	for says, attrs := range map[string]map[string]string{
		"--platform linux/amd64,linux/arm64": {"platform": "linux/amd64,linux/arm64"},
		"--attest type=sbom":                 {"attest:sbom": "generator=x"},
		"--call lint":                        {"requestid": "frontend.lint", "frontend.caps": "moby.buildkit.frontend.subrequests+forward"},
		"--cgroup-parent":                    {"cgroup-parent": "x"},
		"git.example/x.git":                  {"context": "https://git.example/x.git"},
		"unheard=of":                         {"unheard": "of"},
		"strange:of=1":                       {"strange:of": "1"},
		"--network mine":                     {"force-network-mode": "mine"},
		"memory=5":                           {"memory": "5"},
		"context x=oci-layout://":            {"context:x": "oci-layout://y"},
		"graph of operations":                {"context:x": "input:x"},
		"--add-host x":                       {"add-hosts": "x"},
		"--ulimit nofile":                    {"ulimit": "nofile"},
	} {
		try(says, attrs, moby)
	}
	for says, solve := range map[string][]byte{
		"output type=local":         buildkittest.Sub(13, buildkittest.Text(1, "local")),
		"output type=oci":           buildkittest.Sub(13, buildkittest.Text(1, "oci")),
		"push=true":                 buildkittest.Sub(13, buildkittest.Text(1, "image"), buildkittest.Texts(2, map[string]string{"name": "a", "push": "true"})),
		"annotation.x=y":            buildkittest.Sub(13, buildkittest.Text(1, "moby"), buildkittest.Texts(2, map[string]string{"annotation.x": "y"})),
		"invalid name":              buildkittest.Sub(13, buildkittest.Text(1, "moby"), buildkittest.Texts(2, map[string]string{"name": "A B"})),
		"--cache-to type=local":     buildkittest.Sub(8, buildkittest.Sub(4, buildkittest.Text(1, "local"), buildkittest.Texts(2, map[string]string{"dest": "/c"}))),
		"type=registry has no ref":  buildkittest.Sub(8, buildkittest.Sub(4, buildkittest.Text(1, "registry"))),
		"has no option insecure":    buildkittest.Sub(8, buildkittest.Sub(5, buildkittest.Text(1, "registry"), buildkittest.Texts(2, map[string]string{"ref": "a", "insecure": "true"}))),
		"--allow security.insecure": buildkittest.Text(9, "security.insecure"),
	} {
		try(says, nil, solve)
	}
	if _, err := c.Call(t.Context(), "/moby.buildkit.v1.Control/DiskUsage", nil, nil); err == nil || !strings.Contains(err.Error(), "Control/DiskUsage") {
		t.Error(err)
	}
}
