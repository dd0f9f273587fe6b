package gate

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// TestDirectories: who begins to use what is in a directory that is held waits, and who holds one waits for those who have begun; others do not meet.
func TestDirectories(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d Directories
		// waits calls enter and says whether it waits; leave is the end of it, once it does not.
		waits := func(enter func(context.Context, []string) (func(), error), path string) (waits bool, leave func()) {
			in := make(chan func(), 1)
			go func() {
				free, err := enter(t.Context(), []string{path})
				if err != nil {
					t.Error(err)
				}
				in <- free
			}()
			synctest.Wait()
			return len(in) == 0, func() { (<-in)() }
		}
		check := func(what string, got, want bool) {
			t.Helper()
			if got != want {
				t.Errorf("%s waits: %v", what, got)
			}
		}
		release, err := d.Hold(t.Context(), []string{"/v/a"})
		if err != nil {
			t.Fatal(err)
		}
		same, endSame := waits(d.Begin, "/v/a")
		below, endBelow := waits(d.Begin, "/v/a/sub")
		beside, endBeside := waits(d.Begin, "/v/ab")
		second, endSecond := waits(d.Hold, "/v/a")
		check("who begins to use it", same, true)
		check("who begins to use a part of it", below, true)
		check("who begins to use another", beside, false)
		check("who wants to hold it too", second, true)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := d.Begin(ended, []string{"/v/a"}); !errors.Is(err, context.Canceled) {
			t.Errorf("who does not want to wait: %v", err)
		}
		release()
		// One of them holds, then those who begin, or the contrary: all get their turn.
		done := make(chan struct{})
		for _, end := range []func(){endSame, endBelow, endBeside, endSecond} {
			go func() { end(); done <- struct{}{} }()
		}
		for range 4 {
			<-done
		}
		begun, endBegun := waits(d.Begin, "/v/a/sub")
		holder, endHolder := waits(d.Hold, "/v/a")
		check("who begins when nobody holds it", begun, false)
		check("who holds it when somebody begins", holder, true)
		endBegun()
		endHolder()
		if len(d.begins)+len(d.holds) > 0 {
			t.Error("somebody is left in it")
		}
	})
}
