package session

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestParseDetachKeys(t *testing.T) {
	for text, want := range map[string]string{
		"ctrl-p,ctrl-q": "\x10\x11", "ctrl-@": "\x00", "a,b,C": "abC", `ctrl-[,ctrl-\,ctrl-],ctrl-^,ctrl-_`: "\x1b\x1c\x1d\x1e\x1f", "ctrl-a,x": "\x01x",
	} {
		if got, err := parseDetachKeys(text); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "ctrl-", "ctrl-P", "ctrl-ä", "ab", "a,,b", "ctrl-1"} {
		if got, err := parseDetachKeys(text); err == nil || !strings.Contains(err.Error(), "invalid --detach-keys") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// What is typed goes through, but for the keys; what was only the beginning of them goes through when the next key says so.
func TestDetachable(t *testing.T) {
	for _, tt := range []struct {
		keys, typed, want string
		detached          bool
	}{
		{"pq", "hello\n", "hello\n", false},
		{"pq", "hepqllo", "he", true},
		{"pq", "pppq", "pp", true},
		{"pq", "prpq", "pr", true},
		{"aab", "aaab", "a", true},
		{"aab", "aacaa", "aacaa", false},
		{"pq", "p", "p", false},
		{"q", "xq", "x", true},
	} {
		for name, r := range map[string]io.Reader{"at once": strings.NewReader(tt.typed), "key by key": iotest.OneByteReader(strings.NewReader(tt.typed))} {
			detached := false
			d := &detachable{r: r, keys: []byte(tt.keys), detach: func() { detached = true }}
			if got, err := io.ReadAll(d); err != nil || string(got) != tt.want || detached != tt.detached {
				t.Errorf("%s in %q, %s: %q, detached %v, %v", tt.keys, tt.typed, name, got, detached, err)
			}
		}
	}
	broken := &detachable{r: io.MultiReader(strings.NewReader("ap"), iotest.ErrReader(errors.New("gone"))), keys: []byte("pq")}
	if got, err := io.ReadAll(broken); string(got) != "ap" || err == nil {
		t.Errorf("%q, %v", got, err)
	}
}
