package spec

import (
	"errors"
	"strings"
	"testing"

	"github.com/stackrun/stack/internal/errdefs"
)

// TestCheckProjectName: what is wrong with a name is said.
func TestCheckProjectName(t *testing.T) {
	for _, tt := range []struct{ name, want string }{
		{"a", ""}, {strings.Repeat("a", 128), ""},
		{"", "must consist only of"}, {"Upper", "must consist only of"}, {"-a", "must consist only of"}, {"a/b", "must consist only of"},
		{strings.Repeat("a", 129), "it has 129 characters, and 128 are possible; another is given with -p"},
	} {
		err := CheckProjectName(tt.name)
		if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%.20q: %v, expected %q", tt.name, err, tt.want)
		}
	}
}
