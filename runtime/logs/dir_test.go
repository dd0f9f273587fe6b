package logs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Whatever lies in the directory of a log under its names, nothing else is written to or read.
func TestNamesLeadNowhereElse(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("2026-01-02T15:04:05Z stdout F secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	everything := Options{Tail: -1}
	for name, put := range map[string]func(path string) error{
		"a link":      func(path string) error { return os.Symlink(outside, path) },
		"a fifo":      func(path string) error { return unix.Mkfifo(path, 0o600) },
		"a directory": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "c.log")
		if err := put(path); err != nil {
			t.Fatal(err)
		}
		if w, err := OpenWriter(path, 0, 0); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: written to: %v %v", name, w, err)
		}
		if err := Read(context.Background(), path, everything, func(e Entry) error { return errors.New(string(e.Line)) }); err == nil || strings.Contains(err.Error(), "secret\"") {
			t.Errorf("%s: read: %v", name, err)
		}
		// The same as a rotated file, and as the count of what was dropped.
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		w := open(t, path, 0, 0)
		w.Write(Stdout, time.Now(), []byte("mine\n"))
		w.Close()
		if err := Read(context.Background(), path, everything, func(e Entry) error { return nil }); err == nil {
			t.Errorf("%s: read as a rotated file", name)
		}
	}
	dir := filepath.Join(t.TempDir(), "project")
	if err := os.Symlink(filepath.Dir(outside), dir); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenWriter(filepath.Join(dir, "secret"), 0, 0); err == nil {
		t.Error("the directory is a link: written to")
	}
	if b, err := os.ReadFile(outside); err != nil || len(b) != 37 {
		t.Errorf("the file outside is now %q", b)
	}
}

func TestNoLimitKeepsEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.log")
	w := open(t, path, 0, 0)
	text := []byte(strings.Repeat(strings.Repeat("x", 99)+"\n", 1000))
	for range 150 { // 20 MB, twice what was the default limit
		w.Write(Stdout, time.Now(), text)
	}
	w.Close()
	if n := len(read(t, path, Options{Tail: -1, Notice: func(text string) error { return errors.New(text) }})); n != 150_000 {
		t.Errorf("%d lines", n)
	}
}

func TestDroppedLinesAreTold(t *testing.T) {
	for _, files := range []int{1, 3} {
		path := filepath.Join(t.TempDir(), "c.log")
		w := open(t, path, 1000, files)
		at := func(i int) time.Time { return epoch.Add(time.Duration(i) * time.Minute) }
		for i := range 200 {
			w.Write(Stdout, at(i), []byte("a line of twenty by\n"))
		}
		w.Close()
		kept := len(read(t, path, Options{Tail: -1}))
		for name, test := range map[string]struct {
			opt  Options
			told bool
		}{
			"all":                   {Options{Tail: -1}, true},
			"more than there is":    {Options{Tail: kept + 1}, true},
			"as many as there are":  {Options{Tail: kept}, false},
			"tail":                  {Options{Tail: 2}, false},
			"since before":          {Options{Tail: -1, Since: at(1)}, true},
			"since what is there":   {Options{Tail: -1, Since: at(199)}, false},
			"since the oldest kept": {Options{Tail: -1, Since: at(200 - kept)}, false},
		} {
			var told []string
			test.opt.Notice = func(text string) error { told = append(told, text); return nil }
			read(t, path, test.opt)
			if (len(told) == 1 && strings.Contains(told[0], "max-size")) != test.told {
				t.Errorf("%d files, %s: told %q", files, name, told)
			}
		}
		// A smaller limit later removes what is above it, and counts it; the count goes on.
		before := w.dropped
		w = open(t, path, 1000, 1)
		w.Close()
		if left, _ := filepath.Glob(path + ".[0-9]"); len(left) > 0 || files > 1 && w.dropped <= before || w.dropped < before {
			t.Errorf("%d files: left %q, dropped %d, then %d", files, left, before, w.dropped)
		}
	}
}

// A reader that is slower than the log is told that it has missed lines, and one that is not is not.
func TestFollowerIsToldWhatItMissed(t *testing.T) {
	for _, files := range []int{1, 2, 200} {
		path := filepath.Join(t.TempDir(), "c.log")
		w := open(t, path, 1000, files)
		w.Write(Stdout, epoch, []byte("first\n"))
		done := make(chan struct{})
		var got []string
		opt := Options{Tail: -1, Follow: true, Done: done, Notice: func(text string) error {
			got = append(got, "! "+text)
			return nil
		}}
		err := Read(t.Context(), path, opt, func(e Entry) error {
			if got = append(got, string(e.Line)); string(e.Line) == "first" {
				for range 200 { // while the reader is in here
					w.Write(Stdout, epoch, []byte("a line of twenty by\n"))
				}
				w.Write(Stdout, epoch, []byte("last\n"))
				close(done)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
		told := strings.Count(strings.Join(got, ""), "! lines are missing here")
		if got[0] != "first" || got[len(got)-1] != "last" || files == 200 && (told > 0 || len(got) != 202) || files < 200 && (told != 1 || len(got) > 100) {
			t.Errorf("%d files: %d times told, %q", files, told, got)
		}
	}
}
