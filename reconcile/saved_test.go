package reconcile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/reconcile"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/spec"
)

// save is a plan's file.
func (b *bench) save(p *spec.Project, o ask.UpOptions) []byte {
	b.Helper()
	s, err := b.engine.Save(b.Context(), p, o)
	if err != nil {
		b.Fatal(err)
	}
	if s.File == nil {
		b.Fatalf("no file: %+v", s.Preview)
	}
	return s.File
}

// refused applies file, which must be refused with kind, saying want, and without a change.
func (b *bench) refused(what string, file []byte, kind error, want ...string) {
	b.Helper()
	var err error
	if ops := b.changes(func() { err = b.engine.Apply(b.Context(), file, ask.ApplyOptions{}, b.sink) }); len(ops) > 0 {
		b.Errorf("%s: it did %v", what, ops)
	}
	if !errors.Is(err, kind) {
		b.Errorf("%s: %v, want %v", what, err, kind)
		return
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			b.Errorf("%s: %v\nwant %q in it", what, err, w)
		}
	}
}

func TestApplyDoesWhatWasSaved(t *testing.T) {
	run(t, func(b *bench) {
		var first []byte
		b.only(func() { first = b.save(everyKind("one"), ask.UpOptions{}) })
		var err error
		if ops := b.changes(func() { err = b.engine.Apply(b.Context(), first, ask.ApplyOptions{Project: "other"}, b.sink) }); len(ops) > 0 || !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), `of project "shop", and -p asks for "other"`) {
			b.Errorf("as another's: %v, %v", ops, err)
		}
		if err := b.engine.Apply(b.Context(), first, ask.ApplyOptions{Project: "shop", Wait: true}, b.sink); err != nil {
			b.Fatal(err)
		}
		if rows := b.rows("shop"); len(rows) != 5 || rows["shop-db-1"].Health != "healthy" {
			b.Errorf("%+v", rows)
		}
		b.same("a plan after it", lines(b.plan(everyKind("one"), ask.UpOptions{})), "")
		b.refused("once more", first, errdefs.ErrConflict, "was not there")

		second := b.save(everyKind("two"), ask.UpOptions{})
		b.reboot() // the key is the state root's, not the daemon's
		var pretty bytes.Buffer
		if err := json.Compact(&pretty, second); err != nil { // spaces are nobody's business
			b.Fatal(err)
		}
		if err := b.engine.Apply(b.Context(), pretty.Bytes(), ask.ApplyOptions{}, b.sink); err != nil {
			b.Fatal(err)
		}
		b.same("a plan after it", lines(b.plan(everyKind("two"), ask.UpOptions{})), "")
	})
}

func TestApplyRefusesAHostThatHasMoved(t *testing.T) {
	run(t, func(b *bench) {
		secret := filepath.Join(b.roots.State, "secret")
		write := func(text string) {
			if err := os.MkdirAll(b.roots.State, 0o700); err != nil {
				b.Fatal(err)
			}
			if err := os.WriteFile(secret, []byte(text), 0o600); err != nil {
				b.Fatal(err)
			}
		}
		write("one")
		wish := func(level string) *spec.Project {
			p := everyKind(level)
			p.Secrets = map[string]*spec.FileObject{"key": {File: secret}}
			p.Services["web"].Secrets = []spec.FileUse{{Source: "key", Target: "/run/secrets/key"}}
			return p
		}
		b.up(wish("one"), ask.UpOptions{Wait: true})
		file := b.save(wish("two"), ask.UpOptions{})

		if err := b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{Services: []string{"web"}}, nil); err != nil {
			b.Fatal(err)
		}
		b.refused("a stopped container", file, errdefs.ErrConflict, `container shop-web-1: status: "running" -> "exited"`, "nothing was changed")
		if err := b.engine.Start(b.Context(), "shop", ask.ServiceOptions{}, nil); err != nil {
			b.Fatal(err)
		}
		write("two")
		b.refused("another secret", file, errdefs.ErrConflict, "service web: spec.secrets[0].digest: ")
		write("one")
		b.host.AddImage("app:1", v1.Config{Cmd: []string{"other"}})
		b.refused("another image", file, errdefs.ErrConflict, "image app:1: id: ")
		b.up(wish("three"), ask.UpOptions{})
		b.refused("an up since", file, errdefs.ErrConflict, "container shop-db-1: ", `spec.environment.LEVEL: "one" -> "three"`)
	})
}

func TestApplyRefusesFilesThatAreNone(t *testing.T) {
	run(t, func(b *bench) {
		good := b.save(everyKind("one"), ask.UpOptions{})
		edit := func(from, to string) []byte {
			if !bytes.Contains(good, []byte(from)) {
				b.Fatalf("%q is not in the file:\n%s", from, good)
			}
			return bytes.Replace(good, []byte(from), []byte(to), 1)
		}
		invalid := errdefs.ErrInvalidArgument
		b.refused("nothing", nil, invalid, "not a plan")
		b.refused("a Compose file", []byte("services: {}"), invalid, "not a plan")
		b.refused("cut off", good[:len(good)/2], invalid, "not a plan")
		b.refused("followed", append(bytes.Clone(good), good...), invalid, "not a plan")
		b.refused("another format", edit(`"version": 1`, `"version": 7`), invalid, "format is version 7")
		b.refused("another program", edit(`"program": "`, `"program": "9.9-`), invalid, "version", "9.9-")
		b.refused("an unknown key", edit(`"program"`, `"more": 1, "program"`), invalid, "more")
		b.refused("another value", edit(`"one"`, `"evil"`), invalid, "seal")
		b.refused("another option", edit(`"ForceRecreate": false`, `"ForceRecreate": true`), invalid, "seal")
		b.refused("another seal", edit(`"seal": "`, `"seal": "0`), invalid, "seal")

	})
}

func TestApplyRefusesAPlanOfAnotherHost(t *testing.T) {
	var file []byte
	run(t, func(b *bench) { file = b.save(everyKind("one"), ask.UpOptions{}) })
	run(t, func(b *bench) { b.refused("elsewhere", file, errdefs.ErrInvalidArgument, "another host") })
}

// FuzzApply: whatever the file is, Apply refuses it and does nothing, or it is the one that was saved.
func FuzzApply(f *testing.F) {
	store, host := &fake.Store{}, fake.New()
	host.AddImage("app:1", v1.Config{Cmd: []string{"serve"}})
	dir := f.TempDir()
	boot := func(t testing.TB) *reconcile.Engine {
		e, err := reconcile.New(f.Context(), host.Set(), reconcile.Options{Roots: roots.Roots{State: dir + "/s", Run: dir + "/r"}, Store: store, Version: "1"})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := boot(f)
	saved, err := e.Save(f.Context(), project(service("web")), ask.UpOptions{})
	if err != nil || saved.File == nil {
		f.Fatalf("%+v, %v", saved, err)
	}
	f.Add(saved.File)
	f.Add(saved.File[:len(saved.File)/3])
	f.Add([]byte(`{"format":"stack-plan","version":1,"plan":{}}`))
	f.Add([]byte(`{"format":"stack-plan","version":1,"program":"1","plan":null}`))
	f.Add([]byte(`[]`))
	f.Cleanup(func() { e.Close(context.Background()) })
	f.Fuzz(func(t *testing.T, file []byte) {
		var a, b bytes.Buffer
		if json.Compact(&a, file) == nil && json.Compact(&b, saved.File) == nil && a.String() == b.String() {
			return
		}
		if err := e.Apply(t.Context(), file, ask.ApplyOptions{}, nil); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%q: %v", file, err)
		}
		if ops := host.Ops(); len(ops) > 0 {
			t.Errorf("%q: did %v", file, ops)
		}
	})
}
