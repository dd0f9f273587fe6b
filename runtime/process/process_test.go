package process

import "testing"

// TestEnded: a container may outlive the want of memory that one of its processes died of, and end in its own way.
func TestEnded(t *testing.T) {
	for _, x := range []struct {
		of   Exit
		want string
	}{
		{Exit{Code: 1}, "exited with code 1"},
		{Exit{Code: 137, Signal: 9}, "exited with code 137"},
		{Exit{Code: 137, OOM: true}, "exited with code 137 (killed because it was out of memory)"},
		{Exit{Code: 3, OOM: true}, "exited with code 3 (a process of it was killed because it was out of memory)"},
		{Exit{Code: 127, Error: "no such program"}, "exited with code 127 (no such program)"},
	} {
		if got := Ended(x.of.Code, x.of.OOM, x.of.Error); got != x.want {
			t.Errorf("%+v: %q", x.of, got)
		}
	}
}
