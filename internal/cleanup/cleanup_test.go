package cleanup_test

import (
	"slices"
	"testing"

	"github.com/stackrun/stack/internal/cleanup"
)

func record(calls *[]string, name string) func() {
	return func() { *calls = append(*calls, name) }
}

func TestCleanRunsLatestFirstAndOnce(t *testing.T) {
	var calls []string
	c := cleanup.Make(record(&calls, "first"), nil)
	c.Add(record(&calls, "second"))
	c.Add(nil)
	c.Clean()
	c.Clean()
	if want := []string{"second", "first"}; !slices.Equal(calls, want) {
		t.Errorf("calls %q, want %q", calls, want)
	}
}

func TestReleaseKeepsAndHandsOver(t *testing.T) {
	var calls []string
	c := cleanup.Make(record(&calls, "first"))
	clean := c.Release()
	c.Clean()
	if len(calls) != 0 {
		t.Fatalf("Clean after Release called %q", calls)
	}
	clean()
	clean()
	if want := []string{"first"}; !slices.Equal(calls, want) {
		t.Errorf("calls %q, want %q", calls, want)
	}
}

func TestPanicDoesNotStopTheOthers(t *testing.T) {
	var calls []string
	c := cleanup.Make(record(&calls, "first"), func() { panic("second") })
	func() {
		defer func() {
			if got := recover(); got != "second" {
				t.Errorf("recovered %v, want the panic of the second", got)
			}
		}()
		c.Clean()
	}()
	if want := []string{"first"}; !slices.Equal(calls, want) {
		t.Errorf("calls %q, want %q", calls, want)
	}
}
