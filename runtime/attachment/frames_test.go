package attachment

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/runtime/proto"
)

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
