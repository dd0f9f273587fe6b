package logs

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// read gives the log as lines "stream tag text".
func read(t *testing.T, path string, opt Options) []string {
	t.Helper()
	var got []string
	err := Read(context.Background(), path, opt, func(e Entry) error {
		tag := "F"
		if e.Partial {
			tag = "P"
		}
		got = append(got, e.Stream+" "+tag+" "+string(e.Line))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func open(t testing.TB, path string, size int64, files int) *Writer {
	t.Helper()
	w, err := OpenWriter(path, size, files)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func equal(t *testing.T, got, want []string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestWriterJoinsAndSplitsLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dir/c.log")
	w := open(t, path, 0, 0)
	long := strings.Repeat("x", MaxLine)
	w.Write(Stdout, time.Now(), []byte("a\nb"))
	w.Write(Stderr, time.Now(), []byte("e\n\n"))
	w.Write(Stdout, time.Now(), []byte("c\n"+long+"y\n"+long+"\n"))
	w.Write(Stdout, time.Now(), []byte("begin "))
	w.Write(Stdout, time.Now(), []byte(long))
	w.Write(Stdout, time.Now(), []byte("\nno newline"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	equal(t, read(t, path, Options{Tail: -1}), []string{
		"stdout F a", "stderr F e", "stderr F ", "stdout F bc", "stdout P " + long, "stdout F y", "stdout F " + long,
		"stdout P begin " + long[6:], "stdout F xxxxxx", "stdout P no newline",
	})
}

// Whatever the pieces in which output comes, the text is what was written.
// A reader that goes on after the line it has seen last must see a line that was begun before that one and ended later.
func TestLineEndedLaterIsNotBeforeTheOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.log")
	w := open(t, path, 0, 0)
	begin := time.Now()
	w.Write(Stdout, begin, []byte("no newline"))
	w.Write(Stderr, begin.Add(time.Second), []byte("between\n"))
	w.Write(Stdout, begin.Add(2*time.Second), []byte(" until now\nlast"))
	w.Write(Stderr, begin.Add(3*time.Second), []byte("end\n"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	equal(t, read(t, path, Options{Tail: -1, Since: begin.Add(time.Second)}), []string{"stderr F between", "stdout F no newline until now", "stderr F end", "stdout P last"})
}

func TestWriterLosesNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 20 {
		path := filepath.Join(t.TempDir(), "c.log")
		w := open(t, path, 100_000, 1000)
		var want bytes.Buffer
		for range 40 {
			piece := bytes.Repeat([]byte{byte('a' + random.IntN(26))}, random.IntN(1+random.IntN(3*MaxLine)))
			for range random.IntN(4) {
				piece = append(piece, '\n')
			}
			want.Write(piece)
			for len(piece) > 0 {
				n := 1 + random.IntN(len(piece))
				w.Write(Stdout, time.Now(), piece[:n])
				piece = piece[n:]
			}
		}
		w.Close()
		var got bytes.Buffer
		err := Read(context.Background(), path, Options{Tail: -1}, func(e Entry) error {
			got.Write(e.Line)
			if len(e.Line) > MaxLine {
				t.Fatalf("a line of %d bytes", len(e.Line))
			}
			if !e.Partial {
				got.WriteByte('\n')
			}
			return nil
		})
		if err != nil || !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Fatalf("round %d: %v: %d bytes became %d", round, err, want.Len(), got.Len())
		}
	}
}

func TestWriterRotates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.log")
	w := open(t, path, 1000, 3)
	for i := range 100 {
		w.Write(Stdout, time.Now(), fmt.Appendf(nil, "line %d\n", i))
	}
	w.Close()
	for _, name := range []string{path, path + ".1", path + ".2"} {
		st, err := os.Stat(name)
		if err != nil || st.Size() > 1000 || st.Size() == 0 {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}
	if _, err := os.Stat(path + ".3"); err == nil {
		t.Error("there is a fourth file")
	}
	got := read(t, path, Options{Tail: -1})
	if got[len(got)-1] != "stdout F line 99" || len(got) < 40 {
		t.Errorf("%d lines to %q", len(got), got[len(got)-1])
	}
}

func TestWriterGoesOnWhereTheLastOneStopped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.log")
	w := open(t, path, 0, 0)
	w.Write(Stdout, time.Now(), []byte("first\n"))
	w.Close()
	// A monitor that was killed in the middle of a write.
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("2026-01-02T15:04:05Z stdo")
	f.Close()
	w = open(t, path, 0, 0)
	w.Write(Stdout, time.Now(), []byte("second\n"))
	w.Close()
	equal(t, read(t, path, Options{Tail: -1}), []string{"stdout F first", "stdout F second"})
}

func TestWriterSaysWhatAFullDiskLost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.log")
	w := open(t, path, 0, 0)
	w.Write(Stdout, time.Now(), []byte("before\n"))
	file := w.f
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.f = full
	w.Write(Stdout, time.Now(), []byte("lost\n"))
	w.f = file
	full.Close()
	w.Write(Stdout, time.Now(), []byte("after\n"))
	w.Close()
	got := read(t, path, Options{Tail: -1})
	if len(got) != 3 || !strings.Contains(got[1], "bytes of log were lost") || !strings.Contains(got[1], "no space left") || got[2] != "stdout F after" {
		t.Errorf("got %q", got)
	}
}

func BenchmarkWriter(b *testing.B) {
	w := open(b, filepath.Join(b.TempDir(), "c.log"), 10<<20, 3)
	data := bytes.Repeat([]byte(strings.Repeat("x", 99)+"\n"), 640)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		w.Write(Stdout, time.Now(), data)
	}
}

func writeFile(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A Writer that another program goes on with is as if there had been one.
func TestWriterResumes(t *testing.T) {
	const lines = 40
	fill := func(resume func(w *Writer, path string) *Writer) (files []string) {
		path := filepath.Join(t.TempDir(), "dir/c.log")
		w := open(t, path, 500, 3)
		for i := range lines {
			w.Write(Stdout, time.Unix(int64(i), 0), fmt.Appendf(nil, "line %d\n", i))
			w = resume(w, path)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{path, path + ".1", path + ".2"} {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, string(b))
		}
		d, err := openDir(path)
		if err != nil {
			t.Fatal(err)
		}
		defer d.close()
		return append(files, fmt.Sprint(d.dropped()))
	}
	want := fill(func(w *Writer, _ string) *Writer { return w })
	got := fill(func(w *Writer, path string) *Writer {
		h, ok := w.Handover()
		if !ok {
			t.Fatal("there is nothing to hand over")
		}
		// Another program has files of its own for the same descriptors.
		next := h
		for _, fd := range []*int{&next.Dir, &next.File} {
			var err error
			if *fd, err = unix.FcntlInt(uintptr(*fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
		return Resume(path, 500, 3, next)
	})
	equal(t, got, want)
}

func TestNoHandoverInTheMiddleOfALine(t *testing.T) {
	w := open(t, filepath.Join(t.TempDir(), "dir/c.log"), 0, 0)
	defer w.Close()
	for _, step := range []struct {
		text string
		ok   bool
	}{{"whole\n", true}, {"begin", false}, {"end\n", true}} {
		w.Write(Stdout, time.Now(), []byte(step.text))
		if _, ok := w.Handover(); ok != step.ok {
			t.Errorf("after %q: %v", step.text, ok)
		}
	}
	w.lost = 1
	if _, ok := w.Handover(); ok {
		t.Error("what was lost would not be told")
	}
	w.lost = 0
}
