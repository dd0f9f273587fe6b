package buildkit

import (
	"fmt"
	"strings"
	"testing"
)

// TestProgressIsBounded: what nobody takes does not grow, in whatever pieces it comes, and a step's output that comes letter by letter is one text.
func TestProgressIsBounded(t *testing.T) {
	p := newProgress("ref")
	for range 1000 {
		p.log("a", []byte("x"))
	}
	s, _, err := p.take(t.Context())
	if err != nil || len(s.Logs) != 1 || string(s.Logs[0].Text) != strings.Repeat("x", 1000) {
		t.Errorf("%d pieces of output, %v", len(s.Logs), err)
	}
	for i := range 2 * maxWaiting / around {
		p.log(fmt.Sprint(i%2), []byte("x"))
		p.warn(fmt.Sprint("warning ", i))
	}
	if s, _, err = p.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(s.Encode()); n > maxWaiting {
		t.Errorf("%d bytes wait for the client", n)
	}
	if last := s.Logs[len(s.Logs)-1]; !strings.Contains(string(last.Text), "left out") {
		t.Errorf("it is not said that something was left out, but %q", last.Text)
	}
}
