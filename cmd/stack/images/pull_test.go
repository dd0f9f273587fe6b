package images

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackrun/stack/spec"
)

// pull leaves out what is built here, if it is told to.
func TestPullIgnoresBuildable(t *testing.T) {
	p := &spec.Project{Services: map[string]*spec.Service{"a": {Image: "x"}, "b": {Image: "y", Build: &spec.Build{}}, "c": {Build: &spec.Build{}}}}
	if got := pullable(p, nil, false); !cmp.Equal(got, []string{"a", "b"}) {
		t.Errorf("all: %q", got)
	}
	if got := pullable(p, nil, true); !cmp.Equal(got, []string{"a"}) {
		t.Errorf("but those that are built: %q", got)
	}
}
