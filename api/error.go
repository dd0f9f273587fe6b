package api

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/stackrun/stack/internal/disk"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/spec/diag"
)

// Kind is the kind of an Error: internal/errdefs by name, and two of the API's own.
type Kind string

const (
	KindCancelled Kind = "cancelled"        // the request's connection ended, or the daemon ends
	KindVersion   Kind = "version-mismatch" // the two ends are of different builds
)

// ErrVersion is what an Error of KindVersion unwraps to.
var ErrVersion = errors.New("version mismatch")

// kinds in the order in which an error is asked for them. 499 is nginx's "client closed request":
// nobody reads it, the log does.
var kinds = []struct {
	kind   Kind
	err    error
	status int
}{
	{KindCancelled, context.Canceled, 499},
	{KindVersion, ErrVersion, http.StatusUpgradeRequired},
	{"not-found", errdefs.ErrNotFound, http.StatusNotFound},
	{"already-exists", errdefs.ErrAlreadyExists, http.StatusConflict},
	{"conflict", errdefs.ErrConflict, http.StatusConflict},
	{"not-supported", errdefs.ErrNotSupported, http.StatusNotImplemented},
	{"invalid-argument", errdefs.ErrInvalidArgument, http.StatusBadRequest},
	{"unavailable", errdefs.ErrUnavailable, http.StatusServiceUnavailable},
}

// FromError makes err fit to travel. own are the roots of who answers, of which it is said that they could be on a disk with more room; the zero value = it has
// none. nil stays nil.
func FromError(err error, own roots.Roots) *Error {
	if err == nil {
		return nil
	}
	var known *Error
	if errors.As(err, &known) && known.Message == err.Error() {
		return known
	}
	e := &Error{Message: err.Error(), Diagnostics: diagnostics(err)}
	list := diag.List(e.Diagnostics)
	if whole := list.Err(); whole != nil && whole.Error() == e.Message && !slices.ContainsFunc(list, nowhere) {
		list.Sort() // as the file has them: the order in which work side by side has failed says nothing
		e.Message = list.Err().Error()
	}
	if advice := disk.Advice(err, own); advice != "" && len(e.Diagnostics) == 0 { // those have it as a hint
		e.Message += "; " + advice
	}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			e.Kind = k.kind
			break
		}
	}
	return e
}

// nowhere says whether d is about no place in a file.
func nowhere(d *diag.Diagnostic) bool { return d.Subject == nil }

// Status is the HTTP status that goes with e.
func (e *Error) Status() int {
	for _, k := range kinds {
		if e.Kind == k.kind {
			return k.status
		}
	}
	return http.StatusInternalServerError
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
