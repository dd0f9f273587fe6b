package child

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
)

// state is what a Pool has.
type state struct{ waiting, making, unused bool }

func (s *Pool) state() state {
	s.mu.Lock()
	defer s.mu.Unlock()
	return state{s.waiting != nil, s.making, s.unused}
}

// waits has the next spares wait for d.
func (s *Pool) waits(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Patience = d
}

// TestTooFewFiles: what is lacking is named, and what to do.
func TestTooFewFiles(t *testing.T) {
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &was) //nolint:errcheck // it was so before
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: LeastFiles - 1, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	p, err := Open()
	if err == nil {
		p.Close()
	}
	for _, want := range []string{"480 files", "RLIMIT_NOFILE", "at least 481", "ulimit -Hn 481", "LimitNOFILE"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

// The spare ends when nobody takes it. Another is started when somebody connects or takes one child after the other, and not by a probe that comes now and then.
func TestSpareThatNobodyTakes(t *testing.T) {
	p, err := Open()
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("SKIP: the init program is not built: `make init`")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	take := func() {
		t.Helper()
		c, err := p.Take(false)
		if err != nil {
			t.Fatal(err)
		}
		c.Abort()
	}
	becomes := func(what string, want state) {
		t.Helper()
		if !sandbox.Within(func() bool { return p.state() == want }) {
			t.Fatalf("%s: %+v, expected %+v", what, p.state(), want)
		}
	}
	is := func(what string, want state) {
		t.Helper()
		if got := p.state(); got != want {
			t.Fatalf("%s: %+v, expected %+v", what, got, want)
		}
	}
	p.waits(time.Nanosecond)
	p.Expect()
	is("nobody has started anything", state{})
	take()
	p.replenish(false)
	becomes("nobody takes the spare", state{unused: true})
	take()
	p.replenishExpected()
	is("after a probe", state{unused: true})

	p.waits(time.Hour)
	p.Expect()
	becomes("somebody has connected", state{waiting: true})
	waiting := p.Waiting()
	p.Expect()
	is("somebody else has", state{waiting: true})
	if now := p.Waiting(); now != waiting {
		t.Errorf("%d waits, and before %d did", now, waiting)
	}
	take()
	p.replenishExpected()
	becomes("after an exec", state{waiting: true})

	p.waits(time.Nanosecond)
	take()
	p.replenish(false)
	becomes("nobody takes the spare again", state{unused: true})
	p.waits(time.Hour)
	take() // and less than an hour ago somebody took another
	p.replenishExpected()
	becomes("after one exec of several", state{waiting: true})

	p.RetireSoon(func() {})
	becomes("the last container is gone", state{})
	p.Expect()
	is("and somebody has connected", state{})
}
