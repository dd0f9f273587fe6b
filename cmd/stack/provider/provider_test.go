package provider

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sandbox"
)

// script puts a program of sh there.
func script(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestFind(t *testing.T) {
	top := t.TempDir()
	env := map[string]string{"PATH": top + "/bin:.:", "HOME": top + "/home"}
	script(t, top+"/bin/both", "")
	script(t, top+"/bin/other", "")
	script(t, top+"/home/.docker/cli-plugins/docker-both", "")
	script(t, top+"/config/cli-plugins/docker-other", "")
	t.Chdir(top + "/bin")
	script(t, "here", "")
	if err := os.WriteFile(top+"/bin/text", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	own := maps.Clone(env)
	own["DOCKER_CONFIG"] = top + "/config"
	beside := maps.Clone(env)
	beside["PATH"] = ".:"
	for _, tt := range []struct {
		name string
		env  map[string]string
		path string
		kind error
	}{
		{"both", env, "/home/.docker/cli-plugins/docker-both", nil},
		{"other", env, "/bin/other", nil},
		{"other", own, "/config/cli-plugins/docker-other", nil},
		{"both", own, "/bin/both", nil},
		{"here", beside, "", errdefs.ErrNotFound}, // not what lies beside the file
		{"text", env, "", errdefs.ErrNotFound},
		{"compose", env, "", errdefs.ErrInvalidArgument},
		{"../bin/other", env, "", errdefs.ErrInvalidArgument},
		{"", env, "", errdefs.ErrInvalidArgument},
	} {
		p, err := Find(tt.name, tt.env, "")
		switch {
		case tt.kind != nil && !errors.Is(err, tt.kind):
			t.Errorf("%q: %v", tt.name, err)
		case tt.kind == nil && (err != nil || strings.TrimPrefix(p.Path, top) != tt.path):
			t.Errorf("%q: %+v %v, expected %s", tt.name, p, err, tt.path)
		}
	}
}

func TestFlags(t *testing.T) {
	options := map[string][]string{"b": {"2"}, "a": {"x", "y z"}, "c": {""}}
	some := Metadata{Description: "d", Up: Verb{[]Parameter{{Name: "a", Required: true}, {Name: "d", Required: true}}}, Down: Verb{[]Parameter{{Name: "b"}}}}
	for _, tt := range []struct {
		m             Metadata
		verb, missing string
		flags         []string
	}{
		{Metadata{}, "up", "", []string{"--a=x", "--a=y z", "--b=2", "--c="}},
		{Metadata{}, "down", "", []string{"--a=x", "--a=y z", "--b=2", "--c="}},
		{some, "up", "d", []string{"--a=x", "--a=y z"}},
		{some, "down", "", []string{"--b=2"}},
		{some, "stop", "", nil},
	} {
		if got := tt.m.flags(tt.verb, options); !slices.Equal(got, tt.flags) {
			t.Errorf("%s: %q, expected %q", tt.verb, got, tt.flags)
		}
		if got := tt.m.Missing(tt.verb, options); got != tt.missing {
			t.Errorf("%s lacks %q, expected %q", tt.verb, got, tt.missing)
		}
	}
}

// A program that is told to end has time for it, and takes what it has started with it.
func TestCancelled(t *testing.T) {
	top := t.TempDir()
	// Its child speaks, after its execve: a shell's fork that has not come to it yet has the trap of its parent, and would outlive the signal.
	script(t, top+"/child", `echo '{"type":"info","message":"begun"}'; exec sleep 1000`)
	script(t, top+"/slow", `trap 'echo ended > `+top+`/ended; exit 1' TERM; `+top+`/child & wait`)
	p, err := Find("slow", map[string]string{"PATH": top + ":/bin:/usr/bin"}, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	if _, err := p.Run(ctx, Call{Project: "p", Service: "s", Verb: "up"}, func(string) { cancel(enough) }); !errors.Is(err, enough) {
		t.Error(err)
	}
	sandbox.Eventually(t, "it has ended by itself", func() bool {
		_, err := os.Stat(top + "/ended")
		return err == nil
	})
}
