package history

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
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
func (b *Book) step(t *testing.T, project, file string, o Outcome) *Entry {
	t.Helper()
	e := &Entry{Time: Now(), Command: "up -d", Changes: []plan.Change{{Name: "x", Action: plan.Create}}}
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

func (b *Book) list(t *testing.T, project string) []Entry {
	t.Helper()
	all, err := b.List(project)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFiftyAreKeptWithTheProjectsThatTheyName(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "h.db"))
	first := b.step(t, "shop", "v0", Done)
	b.step(t, "other", "w", Done)
	for i := 1; i < Kept+10; i++ {
		b.step(t, "shop", fmt.Sprintf("v%d", i), Done)
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
	b.step(t, "shop", "a", Done)
	b.step(t, "shop", "b", "")
	if all := b.list(t, "shop"); all[1].Outcome != UnderWay {
		t.Errorf("while it is carried out: %s", all[1].Outcome)
	}
	b.Close()
	b = open(t, path)
	if all := b.list(t, "shop"); len(all) != 2 || all[0].Outcome != Done || all[0].Duration() != time.Second || all[1].Outcome != Interrupted || all[1].Duration() != 0 {
		t.Errorf("the next daemon sees %+v", all)
	}
}

func TestStartsAreKeptAndReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.db")
	b := open(t, path)
	for i := range 100 {
		b.Keep("shop", Start{Container: fmt.Sprintf("c%d", i%10), ID: fmt.Sprint(i)})
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
	if err := b.Begin("shop", &Entry{}, nil, nil); err == nil {
		t.Error("Begin says nothing")
	}
	if _, err := b.List("shop"); err == nil {
		t.Error("List says nothing")
	}
	b.Keep("shop", Start{})
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func TestBefore(t *testing.T) {
	entry := func(n int, project string, o Outcome) Entry { return Entry{Number: n, Project: project, Outcome: o} }
	scaled := entry(3, "b", Done)
	scaled.Scale = map[string]int{"web": 2}
	for _, tt := range []struct {
		name string
		all  []Entry
		back int
		want int // 0 = not found
	}{
		{"nothing", nil, 1, 0},
		{"the first", []Entry{entry(1, "a", Done)}, 1, 0},
		{"one", []Entry{entry(1, "a", Done), entry(2, "b", Done)}, 1, 1},
		{"two", []Entry{entry(1, "a", Done), entry(2, "b", Done), entry(3, "c", Done)}, 2, 1},
		{"too far", []Entry{entry(1, "a", Done), entry(2, "b", Done)}, 2, 0},
		{"a failure is no step", []Entry{entry(1, "a", Done), entry(2, "b", Failed), entry(3, "b", Failed)}, 1, 1},
		{"the same again is no step", []Entry{entry(1, "a", Done), entry(2, "b", Done), entry(3, "b", Done)}, 1, 1},
		{"of many the same the last counts", []Entry{entry(1, "a", Done), entry(2, "a", Done), entry(3, "b", Done)}, 1, 2},
		{"there and back", []Entry{entry(1, "a", Done), entry(2, "b", Done), entry(3, "a", Done)}, 1, 2},
		{"another scale is a step", []Entry{entry(1, "a", Done), entry(2, "b", Done), scaled}, 1, 2},
	} {
		got := 0
		if e, err := Before(tt.all, tt.back); err == nil {
			got = e.Number
		} else if !errors.Is(err, errdefs.ErrNotFound) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got != tt.want {
			t.Errorf("%s: #%d, want #%d", tt.name, got, tt.want)
		}
	}
}
