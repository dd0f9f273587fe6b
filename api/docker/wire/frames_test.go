package wire

import (
	"bytes"
	"testing"
)

func TestFrames(t *testing.T) {
	var b bytes.Buffer
	f := NewFrames(&b)
	f.Stream(Stdout).Write([]byte("out"))
	f.Stream(Stderr).Write([]byte("e"))
	if want := "\x01\x00\x00\x00\x00\x00\x00\x03out\x02\x00\x00\x00\x00\x00\x00\x01e"; b.String() != want {
		t.Errorf("%q, expected %q", b.String(), want)
	}
}
