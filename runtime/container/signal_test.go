package container

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseSignal(t *testing.T) {
	for s, want := range map[string]unix.Signal{
		"": unix.SIGTERM, "SIGINT": unix.SIGINT, "int": unix.SIGINT, "9": unix.SIGKILL, "SIGRTMIN": 34, "RTMIN+3": 37, "SIGRTMAX-1": 63,
	} {
		if got, err := ParseSignal(s); err != nil || got != want {
			t.Errorf("%q: %v %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"0", "65", "-1", "SIGNOTHING", "RTMIN+99", "RTMINx", "RTMAX+1"} {
		if got, err := ParseSignal(s); err == nil {
			t.Errorf("%q is taken as %v", s, got)
		}
	}
}
