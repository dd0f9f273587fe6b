package server

import (
	"net/http"

	"github.com/stackrun/stack/api"
)

// statuses are the HTTP statuses that go with kinds of errors; with another goes 500. 499 is nginx's "client closed request":
// nobody reads it, the log does.
var statuses = map[api.Kind]int{
	api.KindCancelled: 499, api.KindVersion: http.StatusUpgradeRequired, api.KindNotFound: http.StatusNotFound, api.KindAlreadyExists: http.StatusConflict,
	api.KindConflict: http.StatusConflict, api.KindNotSupported: http.StatusNotImplemented, api.KindInvalidArgument: http.StatusBadRequest,
	api.KindUnavailable: http.StatusServiceUnavailable,
}

// statusOf is the HTTP status that goes with e.
func statusOf(e *api.Error) int {
	if status, ok := statuses[e.Kind]; ok {
		return status
	}
	return http.StatusInternalServerError
}
