package exitcode

import (
	"errors"
	"testing"
)

// TestWith: with a code the errors are told beside it, and without one they are what the command ends with.
func TestWith(t *testing.T) {
	failed := errors.New("cannot stop")
	for _, tt := range []struct {
		code int
		errs []error
		want string // "" = no error
		told error
	}{
		{0, nil, "", nil},
		{0, []error{nil, nil}, "", nil},
		{0, []error{nil, failed}, "cannot stop", failed},
		{3, []error{nil}, "exit status 3", nil},
		{Cancelled, []error{failed, nil}, "cannot stop", failed},
	} {
		err := With(tt.code, tt.errs...)
		text := ""
		if err != nil {
			text = err.Error()
		}
		var exit *Error
		if text != tt.want || errors.As(err, &exit) != (tt.code != 0) || exit != nil && exit.Code != tt.code || errors.Is(err, failed) != (tt.told != nil) {
			t.Errorf("With(%d, %v) is %#v", tt.code, tt.errs, err)
		}
	}
}
