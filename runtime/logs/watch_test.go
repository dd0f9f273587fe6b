package logs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// As many logs are followed as there are, also more than a user may have inotify instances; afterwards none is left.
func TestManyAreFollowed(t *testing.T) {
	const dirs, each = 3, 60 // 128 is the kernel's default
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan struct{})
	var ready, ended sync.WaitGroup
	var writers []*Writer
	for i := range dirs {
		dir := filepath.Join(t.TempDir(), fmt.Sprint(i))
		for k := range each {
			path := filepath.Join(dir, fmt.Sprintf("c-%d.log", k))
			w := open(t, path, 100, 3)
			defer w.Close()
			writers = append(writers, w)
			want := fmt.Sprintf("%d-%d", i, k)
			ready.Add(1)
			caughtUp := sync.OnceFunc(ready.Done)
			ended.Go(func() {
				n := 0
				err := Read(ctx, path, Options{Tail: -1, Follow: true, Done: done, Caught: func() error { caughtUp(); return nil }}, func(e Entry) error {
					if n++; string(e.Line) != want {
						t.Errorf("%s: %q", want, e.Line)
					}
					return nil
				})
				caughtUp()
				if err != nil || n != 2 {
					t.Errorf("%s: %d lines, %v", want, n, err)
				}
			})
		}
	}
	ready.Wait()
	if n := instances(t); n != 1 {
		t.Errorf("%d inotify instances", n)
	}
	for range 2 {
		for i, w := range writers {
			w.Write(Stdout, epoch, fmt.Appendf(nil, "%d-%d\n", i/each, i%each))
		}
	}
	close(done)
	ended.Wait()
	if n := instances(t); n != 0 {
		t.Errorf("%d inotify instances are left", n)
	}
}

// instances are those of this process.
func instances(t *testing.T) (n int) {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.Contains(to, "inotify") {
			n++
		}
	}
	return n
}
