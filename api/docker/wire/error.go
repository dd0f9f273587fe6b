package wire

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/moby/moby/api/types/common"

	"github.com/stackrun/stack/internal/errdefs"
)

// WithStatus makes err one that is answered with status, whatever its kind. nil stays nil.
func WithStatus(status int, err error) error {
	if err == nil {
		return nil
	}
	return &statusError{status, err}
}

// ErrNotModified is the answer 304: the object is already as it was asked to be. It has no text, for that answer has no body.
var ErrNotModified = WithStatus(http.StatusNotModified, errors.New("not modified"))

type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// statuses in the order in which an error is asked for its kind.
var statuses = []struct {
	kind   error
	status int
}{
	{errdefs.ErrNotFound, http.StatusNotFound},
	{errdefs.ErrAlreadyExists, http.StatusConflict},
	{errdefs.ErrConflict, http.StatusConflict},
	{errdefs.ErrNotSupported, http.StatusNotImplemented},
	{errdefs.ErrInvalidArgument, http.StatusBadRequest},
	{errdefs.ErrUnavailable, http.StatusServiceUnavailable},
	{context.Canceled, 499}, // nginx's "client closed request": nobody reads it
}

// Status is the HTTP status that goes with err.
func Status(err error) int {
	var known *statusError
	if errors.As(err, &known) {
		return known.status
	}
	for _, s := range statuses {
		if errors.Is(err, s.kind) {
			return s.status
		}
	}
	return http.StatusInternalServerError
}

// Fail answers with err: {"message": …}. Only before a body has begun.
func Fail(w http.ResponseWriter, err error) {
	status := Status(err)
	if status == http.StatusNotModified {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(common.ErrorResponse{Message: err.Error()}) //nolint:errcheck // the peer is gone
}
