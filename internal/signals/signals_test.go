package signals

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
)

func TestParse(t *testing.T) {
	for s, want := range map[string]unix.Signal{
		"SIGTERM": unix.SIGTERM, "term": unix.SIGTERM, "Hup": unix.SIGHUP, "9": unix.SIGKILL, "64": 64,
		"SIGRTMIN": 34, "rtmin+3": 37, "SIGRTMAX-1": 63, "SIGRTMAX": 64,
	} {
		if got, err := Parse(s); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "0", "65", "99", "-9", "+9", "9abc", "9 ", "NONSENSE", "SIG", "RTMIN-1", "RTMAX+1", "RTMIN3", "RTMIN+", "RTMIN+x", "RTMIN+31", "SIGSIGTERM"} {
		if got, err := Parse(s); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%q: got %d, %v", s, got, err)
		}
	}
}
