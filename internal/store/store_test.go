package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sandbox"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m)) }

func mustOpen(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestPutGetDeleteSurviveReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "stack.db")
	s := mustOpen(t, path)
	if _, err := s.Get("projects", "shop"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Fatalf("Get from an empty store: %v, want ErrNotFound", err)
	}
	for k, v := range map[string]string{"shop": "1", "blog": "2", "empty": ""} {
		if err := s.Put("projects", k, []byte(v)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete("projects", "blog"); err != nil {
		t.Fatal(err)
	}
	for _, missing := range [][2]string{{"projects", "blog"}, {"nothing", "here"}} {
		if err := s.Delete(missing[0], missing[1]); err != nil {
			t.Errorf("Delete of missing %v: %v", missing, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = mustOpen(t, path)
	var got []string
	if err := s.Each("projects", func(k string, v []byte) error {
		got = append(got, k+"="+string(v))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"empty=", "shop=1"}; !slices.Equal(got, want) {
		t.Errorf("after reopening: %q, want %q", got, want)
	}
	if v, err := s.Get("projects", "empty"); err != nil || v == nil || len(v) != 0 {
		t.Errorf("empty value: %v, %v", v, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file: %v, %v, want mode 0600", info.Mode(), err)
	}
}

// TestEachReadsAndWrites: a walk that uses the store does not wait for itself, though the file grows meanwhile.
func TestEachReadsAndWrites(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "s.db"))
	for _, key := range []string{"a", "b"} {
		if err := s.Put("projects", key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	walked := make(chan error, 1)
	go func() {
		walked <- s.Each("projects", func(key string, _ []byte) error {
			if err := s.Put("projects", key+key, make([]byte, 1<<20)); err != nil { // more than what is mapped
				return err
			}
			_, err := s.Get("projects", key)
			return err
		})
	}()
	select {
	case err := <-walked:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(sandbox.Patience):
		t.Fatal("the walk waits for itself")
	}
	if _, err := s.Get("projects", "bb"); err != nil {
		t.Error(err)
	}
}

func TestUpdateIsAllOrNothing(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "s.db"))
	stop := errors.New("stop")
	err := s.Update(func(tx *Tx) error {
		if err := tx.Put("b", "k", []byte("v")); err != nil {
			return err
		}
		if v, err := tx.Get("b", "k"); err != nil || string(v) != "v" {
			t.Errorf("a transaction does not see its own write: %q, %v", v, err)
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Fatalf("Update: %v, want the function's error", err)
	}
	if _, err := s.Get("b", "k"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("a failed Update left its write: %v", err)
	}
}

func TestNamesMayNotBeEmptyOrOurs(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "s.db"))
	for _, n := range [][2]string{{"", "k"}, {"b", ""}, {"\x00meta", "version"}} {
		if err := s.Put(n[0], n[1], nil); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("Put %q: %v, want ErrInvalidArgument", n, err)
		}
	}
}

func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	mustOpen(t, path)
	_, err := open(path, 50*time.Millisecond)
	if !errors.Is(err, errdefs.ErrUnavailable) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("second Open: %v, want ErrUnavailable that names the file and the cause", err)
	}
}

func TestDamagedFilesAreNamed(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "whole.db")
	s := mustOpen(t, whole)
	for i := range 200 {
		if err := s.Put("b", fmt.Sprint(i), bytes.Repeat([]byte("x"), 500)); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	good, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	damaged := func(from, to int) []byte {
		b := slices.Clone(good)
		for i := from; i < to; i++ {
			b[i] = 0xa5
		}
		return b
	}
	page := os.Getpagesize()
	for name, content := range map[string][]byte{
		"not a store":     []byte("name: shop\nservices: {}\n"),
		"text of 64 KiB":  bytes.Repeat([]byte("shop\n"), 64<<10/5),
		"both meta pages": damaged(0, 2*page),
		"all data pages":  damaged(2*page, len(good)),
		"cut off":         good[:4*page],
		"less than that":  good[:page+100],
		"zeroes":          make([]byte, 5000),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s.db")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(path)
			if err == nil {
				s.Close()
				t.Fatal("Open of a damaged file succeeded")
			}
			if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "damaged") {
				t.Errorf("got %v, want the file named and called damaged", err)
			}
			s, damage, err := Recover(path)
			if err != nil || damage == nil {
				t.Fatalf("Recover: %v, %v", damage, err)
			}
			defer s.Close()
			if kept, err := os.ReadFile(damage.Aside); err != nil || !bytes.Equal(kept, content) {
				t.Errorf("the damaged file is not kept in %s: %v", damage.Aside, err)
			}
			if err := s.Put("projects", "shop", []byte("x")); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLaterVersionIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	s := mustOpen(t, path)
	if err := s.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(metaBucket).Put(versionKey, []byte("99"))
	}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := Open(path); !errors.Is(err, errdefs.ErrNotSupported) || !strings.Contains(err.Error(), `"99"`) {
		t.Errorf("got %v, want ErrNotSupported that names version 99", err)
	}
}

func TestFileOfAnotherProgramIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("theirs")); return err }); err != nil {
		t.Fatal(err)
	}
	db.Close()
	if _, err := Open(path); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("got %v, want ErrInvalidArgument", err)
	}
}
