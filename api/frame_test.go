package api

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestFramesSurvive(t *testing.T) {
	var buf bytes.Buffer
	w := NewFrameWriter(&buf)
	large := bytes.Repeat([]byte("x"), maxFrame+10)
	for _, p := range [][]byte{[]byte("hello"), nil, large} {
		if err := w.Write(FrameStdout, p); err != nil {
			t.Fatal(err)
		}
	}
	var sizes []int
	for {
		kind, p, err := ReadFrame(&buf)
		if err == io.EOF {
			break
		}
		if err != nil || kind != FrameStdout {
			t.Fatal(kind, err)
		}
		sizes = append(sizes, len(p))
	}
	if len(sizes) != 4 || sizes[0] != 5 || sizes[1] != 0 || sizes[2] != maxFrame || sizes[3] != 10 {
		t.Errorf("got %v", sizes)
	}
}

// The header is the Docker Engine API's: clients that know it can read stdout and stderr.
func TestFrameHeader(t *testing.T) {
	var buf bytes.Buffer
	if err := NewFrameWriter(&buf).Write(FrameStderr, []byte("ab")); err != nil {
		t.Fatal(err)
	}
	if want := []byte{2, 0, 0, 0, 0, 0, 0, 2, 'a', 'b'}; !bytes.Equal(buf.Bytes(), want) {
		t.Errorf("got % x, want % x", buf.Bytes(), want)
	}
}

func TestReadFrameRefusesWhatIsNone(t *testing.T) {
	for _, text := range []string{
		"HTTP/1.1", "\x01\x00\x00\x00\xff\xff\xff\xff", "\x08\x00\x00\x00\x00\x00\x00\x00", "\x01\x00\x00\x01\x00\x00\x00\x00",
		"\x01\x00\x00\x00\x00\x00\x00\x05ab",
	} {
		if _, _, err := ReadFrame(bytes.NewReader([]byte(text))); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%q: got %v, expected an error that is not a plain end", text, err)
		}
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x02ab"))
	f.Add([]byte("\x04\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		kind, p, err := ReadFrame(bytes.NewReader(in))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := NewFrameWriter(&out).Write(kind, p); err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(in, out.Bytes()) {
			t.Errorf("% x was read as % x", in, out.Bytes())
		}
	})
}
