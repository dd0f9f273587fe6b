package runtime

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stackrun/stack/runtime/container"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/runtime/proto"
)

func TestMergeEnv(t *testing.T) {
	base := []string{"A=1", "B=2", "C"}
	got := mergeEnv(base, []string{"B=20", "D=4", "A=", "D=5"})
	if !slices.Equal(got, []string{"A=", "B=20", "C", "D=5"}) || !slices.Equal(base, []string{"A=1", "B=2", "C"}) {
		t.Errorf("got %q base %q", got, base)
	}
}

func TestFrames(t *testing.T) {
	var wire, out, errs bytes.Buffer
	w := &frameWriter{w: &wire}
	for _, f := range []struct {
		kind byte
		text string
	}{{proto.FrameStdout, "a"}, {proto.FrameStderr, "b"}, {proto.FrameStdout, ""}, {proto.FrameStdout, strings.Repeat("c", 100000)}} {
		if err := w.write(f.kind, []byte(f.text)); err != nil {
			t.Fatal(err)
		}
	}
	whole := wire.Bytes()
	if err := readFrames(bytes.NewReader(whole), &out, &errs); err != nil || out.String() != "a"+strings.Repeat("c", 100000) || errs.String() != "b" {
		t.Errorf("%v: %d bytes and %q", err, out.Len(), errs.String())
	}
	if err := readFrames(bytes.NewReader(whole[:len(whole)-1]), io.Discard, nil); err == nil {
		t.Error("a cut frame is taken for the end")
	}
	for _, bad := range []string{"\x07\x00\x00\x00\x00\x00\x00\x00", "\x01\x00\x00\x00\xff\xff\xff\xff"} {
		if err := readFrames(strings.NewReader(bad), nil, nil); err == nil || !strings.Contains(err.Error(), "unexpected") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	wire.Reset()
	if err := w.resize(process.WinSize{Rows: 0x0102, Cols: 0x0304}); err != nil || wire.String() != "\x03\x00\x00\x00\x00\x00\x00\x04\x01\x02\x03\x04" {
		t.Errorf("%q %v", wire.String(), err)
	}
}

func FuzzReadFrames(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x01a\x02\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, b []byte) { readFrames(bytes.NewReader(b), io.Discard, nil) })
}

func TestIDLocks(t *testing.T) {
	var l idLocks
	var wg sync.WaitGroup
	shared := map[string]int{}
	for range 40 {
		for _, id := range []string{"a", "b"} {
			wg.Go(func() {
				unlock, err := l.lock(t.Context(), id)
				if err != nil {
					t.Error(err)
					return
				}
				defer unlock()
				if id == "a" { // guarded by a's lock alone
					shared["a"]++
				}
			})
		}
	}
	wg.Wait()
	if shared["a"] != 40 || len(l.held) != 0 {
		t.Errorf("%v, %d locks are kept", shared, len(l.held))
	}
	unlock, err := l.lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.lock(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("a held lock with an ended context: %v", err)
	}
	unlock()
	if len(l.held) != 0 {
		t.Error("a lock is kept")
	}
}

// TestNewProblemIsTold: of two looks at the same time one takes the event, and the other one, which may be that of whoever mends, is given what was known
// before: there must be another.
func TestNewProblemIsTold(t *testing.T) {
	d := &Driver{}
	g := &guard{d: d, wards: map[string]*ward{"a": {suspect: true}}}
	hints := d.hints.Subscribe(t.Context())
	told := func() bool {
		select {
		case <-hints:
			return true
		default:
			return false
		}
	}
	if look, _ := g.take("a"); !look {
		t.Fatal("nobody looks at what is suspect")
	}
	second := g.mark("a")
	if look, last := g.take("a"); look || last.text != "" {
		t.Fatalf("a second look meanwhile: %v, %q", look, last.text)
	}
	g.remember(second, container.State{ID: "a", Status: container.Running})
	g.found("a", problem{text: "nothing is mounted at /data"})
	if !told() {
		t.Error("nobody is told of a new problem")
	}
	if s := g.seen("a", time.Now()); s != nil {
		t.Errorf("what the second look has seen is given out: %+v", s)
	}
	if look, last := g.take("a"); !look || last.text == "" {
		t.Errorf("the look after that: %v, %q", look, last.text)
	}
	g.remember(second, container.State{ID: "a", Status: container.Running}) // it was slow
	if s := g.seen("a", time.Now()); s != nil {
		t.Errorf("what the second look has seen is given out after the third has begun: %+v", s)
	}
	g.found("a", problem{text: "nothing is mounted at /data"})
	g.found("a", problem{})
	if told() {
		t.Error("one that is known is told again, or that there is none")
	}
}
