package e2e

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// long says whether tests that sample do all of their work: `make test-long` sets STACK_TEST_LONG.
func long() bool { return os.Getenv("STACK_TEST_LONG") != "" }

// shortOrLong is n for `make test`, or all for `make test-long`.
func shortOrLong(n, all int) int {
	if long() {
		return all
	}
	return n
}

// seeded is a source of chance for t and prints the seed that makes the same choices again: STACK_TEST_SEED.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv("STACK_TEST_SEED"), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("STACK_TEST_SEED=%d makes the same choices again", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
