package book

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/reconcile/plan"
)

func open(t *testing.T, path string) *Book {
	t.Helper()
	b := Open(path)
	if b.Err() != nil {
		t.Fatal(b.Err())
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// step records one plan of project that asks for file.
func (b *Book) step(t *testing.T, project, file string, o history.Outcome) *history.Entry {
	t.Helper()
	e := &history.Entry{Time: history.Now(), Command: "up -d", Changes: []plan.Change{{Name: "x", Action: plan.Create}}}
	if err := b.Begin(project, e, nil, []byte(file)); err != nil {
		t.Fatal(err)
	}
	if o == "" {
		return e
	}
	e.Outcome, e.Ended = o, e.Time.Add(time.Second)
	if err := b.End(project, e, nil); err != nil {
		t.Fatal(err)
	}
	return e
}

func (b *Book) list(t *testing.T, project string) []history.Entry {
	t.Helper()
	all, err := b.List(project)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFiftyAreKeptWithTheProjectsThatTheyName(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "h.db"))
	first := b.step(t, "shop", "v0", history.Done)
	b.step(t, "other", "w", history.Done)
	for i := 1; i < Kept+10; i++ {
		b.step(t, "shop", fmt.Sprintf("v%d", i), history.Done)
	}
	all := b.list(t, "shop")
	if len(all) != Kept || all[0].Number != 11 || all[Kept-1].Number != Kept+10 {
		t.Errorf("%d entries, %d to %d", len(all), all[0].Number, all[len(all)-1].Number)
	}
	if _, err := b.Project("shop", first.Project); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("the project of an entry that is gone: %v", err)
	}
	if raw, err := b.Project("shop", all[0].Project); err != nil || string(raw) != "v10" {
		t.Errorf("%q, %v", raw, err)
	}
	if len(b.list(t, "other")) != 1 {
		t.Error("another project's history was pruned")
	}
	if err := b.Forget("shop"); err != nil || len(b.list(t, "shop")) != 0 || len(b.list(t, "other")) != 1 {
		t.Errorf("after Forget: %v", err)
	}
}

func TestAnEntryWithoutOutcomeIsInterrupted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.db")
	b := open(t, path)
	b.step(t, "shop", "a", history.Done)
	b.step(t, "shop", "b", "")
	if all := b.list(t, "shop"); all[1].Outcome != history.UnderWay {
		t.Errorf("while it is carried out: %s", all[1].Outcome)
	}
	b.Close()
	b = open(t, path)
	if all := b.list(t, "shop"); len(all) != 2 || all[0].Outcome != history.Done || all[0].Duration() != time.Second || all[1].Outcome != history.Interrupted || all[1].Duration() != 0 {
		t.Errorf("the next daemon sees %+v", all)
	}
}

func TestStartsAreKeptAndReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.db")
	b := open(t, path)
	for i := range 100 {
		b.Keep("shop", history.Start{Container: fmt.Sprintf("c%d", i%10), ID: fmt.Sprint(i)})
	}
	b.Close() // writes what is pending
	b = open(t, path)
	found, err := b.Starts("shop")
	if err != nil || len(found) != 10 || found["c3"].ID != "93" {
		t.Errorf("%v, %v", found, err)
	}
}

func TestABrokenFileIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.db")
	if err := os.WriteFile(path, []byte("no store"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := Open(path)
	if b.Err() == nil {
		t.Fatal("opened")
	}
	if err := b.Begin("shop", &history.Entry{}, nil, nil); err == nil {
		t.Error("Begin says nothing")
	}
	if _, err := b.List("shop"); err == nil {
		t.Error("List says nothing")
	}
	b.Keep("shop", history.Start{})
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
