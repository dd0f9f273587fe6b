// Package exitcode says with which code the command ends.
package exitcode

import (
	"errors"
	"fmt"

	"github.com/stackrun/stack/runtime/process"
)

// Exit codes of the command's own. A process's own code goes through as it is.
const (
	Failed    = 1
	Differs   = 2   // a plan would change something, or a host is other than its file
	Cancelled = 130 // 128 + SIGINT, as a shell tells of a process that died of it
)

// Error ends the command with code; an empty message prints nothing.
type Error struct {
	Code int
	Err  error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Code)
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// With ends the command with code, and tells of errs. 0 is no error where they are none, else they end the command as any error does.
func With(code int, errs ...error) error {
	err := errors.Join(errs...)
	if code == 0 {
		return err
	}
	return &Error{Code: code, Err: err}
}

// WithProcess ends with the code of a process, and says why it could not be started.
func WithProcess(e process.Exit) error {
	if e.Code == 0 {
		return nil
	}
	if e.Error != "" {
		return &Error{e.Code, fmt.Errorf("%s", e.Error)}
	}
	return &Error{Code: e.Code}
}
