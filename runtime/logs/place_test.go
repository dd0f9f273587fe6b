package logs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var errEnough = errors.New("enough")

// readOn reads at most n lines behind p, and gives the place behind the last.
func readOn(t *testing.T, path string, p Place, n int) (lines, notices []string, end Place) {
	t.Helper()
	end = p
	err := ReadFrom(t.Context(), path, p, Options{Notice: func(text string) error {
		notices = append(notices, text)
		return nil
	}}, func(e Entry, at Place) error {
		if len(lines) == n {
			return errEnough
		}
		lines, end = append(lines, string(e.Line)), at
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	return lines, notices, end
}

// From every place on, what comes is what was left, over rotations and however often reading stops.
func TestReadFromAPlace(t *testing.T) {
	for _, size := range []int64{100, 5000, 0} {
		path := numberedLog(t, 50, size)
		for step := 1; step < 12; step++ {
			var all []string
			for p := (Place{}); ; {
				lines, notices, next := readOn(t, path, p, step)
				if len(notices) > 0 {
					t.Fatalf("size %d: told %q", size, notices)
				}
				if len(lines) == 0 {
					break
				}
				all, p = append(all, lines...), next
			}
			if len(all) != 50 || all[0] != "0" || all[49] != "49" {
				t.Fatalf("size %d, %d at a time: %q", size, step, all)
			}
		}
		end, err := End(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, last := readOn(t, path, Place{}, 1000); last.Offset != end.Offset || !last.Time.Equal(end.Time) {
			t.Errorf("size %d: the last line ends at %v, the log at %v", size, last, end)
		}
	}
}

// A place stays one when files are renamed under it, and when they are gone that is told.
func TestAPlaceOutlivesRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.log")
	w := open(t, path, 200, 3)
	defer w.Close()
	write := func(from, to int) {
		for i := from; i < to; i++ {
			w.Write(Stdout, epoch.Add(time.Duration(i)*time.Second), fmt.Appendf(nil, "line %d\n", i))
		}
	}
	write(0, 6)
	lines, _, p := readOn(t, path, Place{}, 4)
	if strings.Join(lines, ",") != "line 0,line 1,line 2,line 3" {
		t.Fatalf("%q", lines)
	}
	write(6, 9)
	lines, notices, _ := readOn(t, path, p, 100)
	if strings.Join(lines, ",") != "line 4,line 5,line 6,line 7,line 8" || len(notices) > 0 {
		t.Fatalf("after a rotation: %q, told %q", lines, notices)
	}
	write(9, 40)
	lines, notices, _ = readOn(t, path, p, 100)
	if len(lines) == 0 || lines[len(lines)-1] != "line 39" || len(notices) != 1 || !strings.HasPrefix(notices[0], "lines are missing here, ") {
		t.Fatalf("after the lines were dropped: %q, told %q", lines, notices)
	}
	// What is missing is what was dropped behind the place.
	var missing int64
	fmt.Sscanf(notices[0], "lines are missing here, %d bytes", &missing)
	var first int
	fmt.Sscanf(lines[0], "line %d", &first)
	var want int64
	for i := 4; i < first; i++ {
		want += int64(len(Append(nil, Entry{epoch, Stdout, false, fmt.Appendf(nil, "line %d", i)})))
	}
	if missing != want {
		t.Errorf("%d bytes are told to be missing before %q, %d are", missing, lines[0], want)
	}
}

// A log that is not what it was gives lines twice rather than not at all.
func TestAPlaceThatIsNotThereAnyMore(t *testing.T) {
	path := numberedLog(t, 20, 0)
	_, _, p := readOn(t, path, Place{}, 10)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, cut := range map[string]int{"cut at the front": 7, "cut in the middle of a line": 13} {
		if err := os.WriteFile(path, whole[cut:], 0o600); err != nil {
			t.Fatal(err)
		}
		if lines, _, _ := readOn(t, path, p, 100); len(lines) != 11 || lines[0] != "9" {
			t.Errorf("%s: %q", name, lines)
		}
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w := open(t, path, 0, 1)
	defer w.Close()
	w.Write(Stdout, epoch.Add(time.Hour), []byte("new\n"))
	if lines, _, _ := readOn(t, path, p, 100); len(lines) != 1 || lines[0] != "new" {
		t.Errorf("emptied: %q", lines)
	}
}

// Who follows from a place is told when he has all, and has right places beyond rotations.
func TestFollowFromAPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.log")
	w := open(t, path, 300, 100)
	defer w.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const all = 50
	n, caught := 0, 0
	var last Place
	write := func() { w.Write(Stdout, epoch.Add(time.Duration(n)*time.Second), fmt.Appendf(nil, "%d\n", n)) }
	err := ReadFrom(ctx, path, Place{}, Options{Follow: true, Caught: func() error {
		caught++
		if n == all {
			return errEnough
		}
		write()
		return nil
	}}, func(e Entry, p Place) error {
		if got, want := string(e.Line), fmt.Sprint(n); got != want {
			t.Fatalf("%q came, not %q", got, want)
		}
		n++
		last = p
		return nil
	})
	if !errors.Is(err, errEnough) || caught <= all/2 {
		t.Fatalf("%v, caught up %d times", err, caught)
	}
	if end, err := End(path); err != nil || end.Offset != last.Offset {
		t.Errorf("the place behind the last is %v, the end %v, %v", last, end, err)
	}
}
