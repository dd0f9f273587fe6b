package server

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// nobody is asked nothing.
type nobody struct{ Engine }

func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rests atomic.Int32
		connected := 0
		s := New(nobody{}, Options{RestAfter: 2 * time.Second, Rested: func() { rests.Add(1) }, Connected: func() { connected++ }})
		after := func(d time.Duration, want int32, when string) {
			t.Helper()
			time.Sleep(d) // of the bubble's clock
			synctest.Wait()
			if got := rests.Load(); got != want {
				t.Errorf("%s: %d rests, expected %d", when, got, want)
			}
		}
		one, two := net.Conn(&net.UnixConn{}), net.Conn(&net.UnixConn{})
		after(3*time.Second, 1, "nobody has come")
		s.opened(one)
		s.opened(two)
		s.closed(one)
		after(time.Minute, 1, "one is still here")
		s.closed(two)
		after(time.Second, 1, "just gone")
		s.opened(one)
		s.closed(one)
		after(1500*time.Millisecond, 1, "another has come and gone")
		after(time.Second, 2, "all are gone")
		after(time.Minute, 2, "nobody has come since")
		s.Worked()
		after(time.Second, 2, "the engine has just worked")
		s.Worked()
		after(1500*time.Millisecond, 2, "and again")
		after(time.Second, 3, "it has not worked since")
		s.opened(one)
		s.Worked()
		after(time.Minute, 3, "it has worked, and somebody is here")
		s.closed(one)
		after(3*time.Second, 4, "and gone")
		s.opened(one)
		s.closed(one)
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		s.Worked()
		after(time.Minute, 4, "the end")
		if connected != 5 {
			t.Errorf("%d have connected, expected 5", connected)
		}
	})
}
