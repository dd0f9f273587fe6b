package attachment

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stackrun/stack/runtime/logs"
	"github.com/stackrun/stack/runtime/proto"
)

// frames are the texts of the frames in b.
func frames(t *testing.T, b []byte) (texts []string) {
	t.Helper()
	for len(b) > 0 {
		var one bytes.Buffer
		n := frameHeader + int(b[7]) + int(b[6])<<8 + int(b[5])<<16
		if b[0] != proto.FrameStderr || n > len(b) {
			t.Fatalf("a frame of kind %d and %d bytes", b[0], n)
		}
		if err := readFrames(bytes.NewReader(b[:n]), nil, &one); err != nil {
			t.Fatal(err)
		}
		texts, b = append(texts, one.String()), b[n:]
	}
	return texts
}

func TestNotesAreWholeLines(t *testing.T) {
	var sent bytes.Buffer
	n := &Notes{a: &Attachment{out: &frameWriter{w: &sent}}, prefix: "-> "}
	w := n.Beside(nil, proto.FrameStderr)
	room := logs.MaxLine - len(n.prefix)
	for _, part := range []string{"one\ntw", "o", "\n", "\nexact " + strings.Repeat("x", room-6), "\nlong " + strings.Repeat("y", room), "end\nrest"} {
		if k, err := w.Write([]byte(part)); k != len(part) || err != nil {
			t.Fatalf("write: %d, %v", k, err)
		}
	}
	want := []string{"one", "two", "", "exact " + strings.Repeat("x", room-6), "", "long " + strings.Repeat("y", room-5), "yyyyyend"}
	got := frames(t, sent.Bytes())
	for i, text := range got {
		if i >= len(want) || text != n.prefix+want[i] || len(text) > logs.MaxLine {
			t.Errorf("frame %d is %.40q of %d bytes", i, text, len(text))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d frames, want %d", len(got), len(want))
	}
}
