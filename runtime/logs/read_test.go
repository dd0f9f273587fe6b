package logs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)

// numberedLog has a line a minute, over several files.
func numberedLog(t *testing.T, lines int, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.log")
	w := open(t, path, size, 1000)
	for i := range lines {
		w.Write(Stdout, epoch.Add(time.Duration(i)*time.Minute), fmt.Appendf(nil, "%d\n", i))
	}
	w.Close()
	return path
}

func span(from, to int) []string {
	var s []string
	for i := from; i < to; i++ {
		s = append(s, fmt.Sprintf("stdout F %d", i))
	}
	return s
}

func TestRead(t *testing.T) {
	for _, size := range []int64{100, 5000, 1 << 30} {
		lines := 5000
		if size == 100 {
			lines = 50 // a file for every second line
		}
		path := numberedLog(t, lines, size)
		n := len(read(t, path, Options{Tail: -1}))
		minute := func(i int) time.Time { return epoch.Add(time.Duration(i) * time.Minute) }
		for _, test := range []struct {
			name     string
			opt      Options
			from, to int
		}{
			{"all", Options{Tail: -1}, 0, n},
			{"tail", Options{Tail: 7}, n - 7, n},
			{"tail of more than there is", Options{Tail: n + 1}, 0, n},
			{"tail 0", Options{Tail: 0}, n, n},
			{"since", Options{Tail: -1, Since: minute(n - 20)}, n - 20, n},
			{"since before all", Options{Tail: -1, Since: epoch.Add(-time.Hour)}, 0, n},
			{"since after all", Options{Tail: -1, Since: minute(n)}, n, n},
			{"until", Options{Tail: -1, Until: minute(20)}, 0, 20},
			{"both", Options{Tail: -1, Since: minute(10), Until: minute(n - 10)}, 10, n - 10},
			{"tail until", Options{Tail: 5, Until: minute(30)}, 25, 30},
		} {
			t.Run(fmt.Sprintf("%d/%s", size, test.name), func(t *testing.T) {
				equal(t, read(t, path, test.opt), span(test.from, test.to))
			})
		}
	}
}

func TestReadOfNothing(t *testing.T) {
	dir := t.TempDir()
	equal(t, read(t, filepath.Join(dir, "none.log"), Options{Tail: -1}), nil)
	// Of a container that is gone there is no directory, and who follows its log leaves none behind.
	equal(t, read(t, filepath.Join(dir, "gone/none.log"), Options{Tail: -1, Follow: true}), nil)
	if _, err := os.Lstat(filepath.Join(dir, "gone")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("following a log has made its directory: %v", err)
	}
}

func TestReadStopsWithItsCallback(t *testing.T) {
	path := numberedLog(t, 10, 100)
	want := errors.New("enough")
	if err := Read(context.Background(), path, Options{Tail: -1}, func(Entry) error { return want }); !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
}

// A follower sees every line once and in order, whatever rotates under it, and ends when there is no more.
func TestFollowThroughRotation(t *testing.T) {
	for _, size := range []int64{200, 4096, 1 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "c.log")
			done := make(chan struct{})
			lines := make(chan string, 10000)
			result := make(chan error, 1)
			go func() {
				result <- Read(context.Background(), path, Options{Tail: -1, Follow: true, Done: done}, func(e Entry) error {
					lines <- string(e.Line)
					return nil
				})
			}()
			n := int(size) // so that every size rotates some hundred times at most
			if n > 3000 {
				n = 3000
			}
			w := open(t, path, size, 10000) // nothing is rotated away
			for i := range n {
				w.Write(Stdout, time.Now(), fmt.Appendf(nil, "%d\n", i))
			}
			w.Close()
			close(done)
			if err := <-result; err != nil {
				t.Fatal(err)
			}
			close(lines)
			i := 0
			for got := range lines {
				if got != fmt.Sprint(i) {
					t.Fatalf("line %d is %q", i, got)
				}
				i++
			}
			if i != n {
				t.Errorf("%d lines of %d", i, n)
			}
		})
	}
}

func TestFollowWaitsAndEndsWithItsContext(t *testing.T) {
	path := numberedLog(t, 3, 1<<20)
	ctx, cancel := context.WithCancel(context.Background())
	seen := make(chan string)
	result := make(chan error, 1)
	go func() {
		result <- Read(ctx, path, Options{Tail: 1, Follow: true}, func(e Entry) error {
			seen <- string(e.Line)
			return nil
		})
	}()
	if got := <-seen; got != "2" {
		t.Errorf("tail gave %q", got)
	}
	w := open(t, path, 1<<20, 3)
	defer w.Close()
	w.Write(Stderr, time.Now(), []byte("new\n"))
	if got := <-seen; got != "new" {
		t.Errorf("follow gave %q", got)
	}
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

func TestFollowATruncatedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.log")
	w := open(t, path, 1<<20, 1)
	w.Write(Stdout, time.Now(), []byte("long enough to see that the file got shorter\n"))
	done := make(chan struct{})
	seen := make(chan string, 10)
	result := make(chan error, 1)
	go func() {
		result <- Read(context.Background(), path, Options{Tail: -1, Follow: true, Done: done}, func(e Entry) error {
			seen <- string(e.Line)
			return nil
		})
	}()
	<-seen
	w.rotate()
	w.Write(Stdout, time.Now(), []byte("x\n"))
	if got := <-seen; got != "x" {
		t.Errorf("got %q", got)
	}
	close(done)
	if err := <-result; err != nil {
		t.Error(err)
	}
	w.Close()
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("2026-01-02T15:04:05Z stdout F a\n\n\x00\n2026-01-02T15:04:06Z stdout P b"), 3, int64(1767366245))
	f.Fuzz(func(t *testing.T, content []byte, tail int, since int64) {
		path := filepath.Join(t.TempDir(), "c.log")
		writeFile(t, path, content)
		n := 0
		opt := Options{Tail: tail, Since: time.Unix(since%(1<<32), 0)}
		if err := Read(context.Background(), path, opt, func(Entry) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		if tail >= 0 && n > tail {
			t.Errorf("%d lines for a tail of %d", n, tail)
		}
	})
}
