package sandbox

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// Slow is how many times slower than hardware the machine is: STACK_TEST_SLOW, of an emulated one.
var Slow = func() time.Duration {
	n, _ := strconv.Atoi(os.Getenv("STACK_TEST_SLOW")) // unset or no number: not slow
	return time.Duration(max(1, n))
}()

// Patience bounds every wait of a test for what must come. It is there to end what hangs, and so long that a machine with other
// things to do does not meet it; a test that passes never waits it through. A test does not choose a bound of its own.
var Patience = Slow * time.Minute

// Eventually waits until cond holds, and fails t with what if it does not. It is how
// tests wait for kernel state that has no event; everything else waits on the event itself.
func Eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	if !Within(cond) {
		t.Fatalf("not within %s: %s", Patience, what)
	}
}

// Within is Eventually for who says more of what does not hold: it waits until cond does, and returns whether it did.
func Within(cond func() bool) bool {
	deadline := time.Now().Add(Patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			return false
		}
		<-tick.C
	}
	return true
}
