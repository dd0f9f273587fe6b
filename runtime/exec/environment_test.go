package exec

import (
	"slices"
	"testing"
)

func TestMergeEnv(t *testing.T) {
	base := []string{"A=1", "B=2", "C"}
	got := mergeEnv(base, []string{"B=20", "D=4", "A=", "D=5"})
	if !slices.Equal(got, []string{"A=", "B=20", "C", "D=5"}) || !slices.Equal(base, []string{"A=1", "B=2", "C"}) {
		t.Errorf("got %q base %q", got, base)
	}
}

// TestMergeEnvTakesAway: docker exec -e NAME without a NAME where it runs.
func TestMergeEnvTakesAway(t *testing.T) {
	got := mergeEnv([]string{"A=1", "B=2"}, []string{"A", "C", "D=4", "E", "E=5"})
	if want := []string{"B=2", "D=4", "E=5"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
