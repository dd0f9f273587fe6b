package wording

import (
	"errors"
	"testing"
)

func TestCauseWithoutID(t *testing.T) {
	err := errors.New("cannot add capability CAP_SYS_RESOURCE")
	if got := Cause(err, "", "web-1"); got.Error() != err.Error() {
		t.Errorf("got %q", got)
	}
}
