// Package errdefs names the kinds of error that callers branch on. Wrap one
// with %w and test with errors.Is; everything else about an error is its text.
package errdefs

import "errors"

var (
	ErrNotFound        = errors.New("not found")
	ErrAlreadyExists   = errors.New("already exists")
	ErrConflict        = errors.New("conflict")
	ErrNotSupported    = errors.New("not supported")
	ErrInvalidArgument = errors.New("invalid argument")
	ErrUnavailable     = errors.New("unavailable")
)

// With gives err the kind without changing its text.
func With(kind, err error) error {
	if err == nil {
		return nil
	}
	return &kinded{kind, err}
}

type kinded struct{ kind, err error }

func (k *kinded) Error() string   { return k.err.Error() }
func (k *kinded) Unwrap() []error { return []error{k.err, k.kind} }
