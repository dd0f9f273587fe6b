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
