package api

import (
	"context"
	"errors"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/spec/diag"
)

// Kind is the kind of an Error: internal/errdefs by name, and two of the API's own.
type Kind string

const (
	KindCancelled Kind = "cancelled"        // the request's connection ended, or the daemon ends
	KindVersion   Kind = "version-mismatch" // the two ends are of different builds

	KindNotFound        Kind = "not-found"
	KindAlreadyExists   Kind = "already-exists"
	KindConflict        Kind = "conflict"
	KindNotSupported    Kind = "not-supported"
	KindInvalidArgument Kind = "invalid-argument"
	KindUnavailable     Kind = "unavailable"
)

// ErrVersion is what an Error of KindVersion unwraps to.
var ErrVersion = errors.New("version mismatch")

// kinds in the order in which an error is asked for them.
var kinds = []struct {
	kind Kind
	err  error
}{
	{KindCancelled, context.Canceled},
	{KindVersion, ErrVersion},
	{KindNotFound, errdefs.ErrNotFound},
	{KindAlreadyExists, errdefs.ErrAlreadyExists},
	{KindConflict, errdefs.ErrConflict},
	{KindNotSupported, errdefs.ErrNotSupported},
	{KindInvalidArgument, errdefs.ErrInvalidArgument},
	{KindUnavailable, errdefs.ErrUnavailable},
}

// FromError makes err fit to travel. nil stays nil.
func FromError(err error) *Error {
	if err == nil {
		return nil
	}
	var known *Error
	if errors.As(err, &known) && known.Message == err.Error() {
		return known
	}
	e := &Error{Message: err.Error(), Diagnostics: diagnostics(err)}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			e.Kind = k.kind
			break
		}
	}
	return e
}

func (e *Error) Unwrap() []error {
	var errs []error
	for _, k := range kinds {
		if e.Kind == k.kind {
			errs = append(errs, k.err)
		}
	}
	for _, d := range e.Diagnostics {
		errs = append(errs, d)
	}
	return errs
}

// diagnostics collects those in err's tree, in order. A chain stops at a diagnostic: what it wraps is its own cause.
func diagnostics(err error) []*diag.Diagnostic {
	switch e := err.(type) {
	case nil:
		return nil
	case *diag.Diagnostic:
		return []*diag.Diagnostic{e}
	case interface{ Unwrap() []error }:
		var all []*diag.Diagnostic
		for _, sub := range e.Unwrap() {
			all = append(all, diagnostics(sub)...)
		}
		return all
	}
	return diagnostics(errors.Unwrap(err))
}
