package build

import (
	"strings"
	"testing"
)

// TestDocument: what a stranger writes of steps becomes names of files on this host, and is held to what it can be.
func TestDocument(t *testing.T) {
	key, layer := strings.Repeat("a", 64), "sha256:"+strings.Repeat("b", 64)
	d, err := readDocument([]byte(`{"version":1,"steps":[{"key":"` + key + `","layer":"` + layer + `","created":"2026-01-02T03:04:05Z","bytes":7}],"more":{}}`))
	if err != nil || len(d.Steps) != 1 || d.Steps[0].Key != key || d.Steps[0].Layer != layer || d.Steps[0].Bytes != 7 {
		t.Errorf("%+v, %v", d, err)
	}
	for text, want := range map[string]string{
		`{`:                          "not valid",
		`{"version":2}`:              "version 2, expected 1",
		`{"version":1,"steps":[{}]}`: "no key",
		`{"version":1,"steps":[{"key":"../` + key[3:] + `"}]}`:                              "no key",
		`{"version":1,"steps":[{"key":"` + key[1:] + `/"}]}`:                                "no key",
		`{"version":1,"steps":[{"key":"` + key + `","layer":"sha256:../` + key[3:] + `"}]}`: "not valid",
		`{"version":1,"steps":[{"key":"` + key + `","layer":"none"}]}`:                      "not valid",
		`{"version":1,"steps":[{"key":"` + key + `","bytes":-1}]}`:                          "negative",
	} {
		if _, err := readDocument([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %q", text, err, want)
		}
	}
}
