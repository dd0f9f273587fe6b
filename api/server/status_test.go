package server

import (
	"net/http"
	"testing"

	"github.com/stackrun/stack/api"
)

func TestStatusOf(t *testing.T) {
	for kind, want := range map[api.Kind]int{
		api.KindNotFound: http.StatusNotFound, api.KindConflict: http.StatusConflict, api.KindNotSupported: http.StatusNotImplemented, api.KindCancelled: 499,
		api.KindVersion: http.StatusUpgradeRequired, "": http.StatusInternalServerError, "unheard": http.StatusInternalServerError,
	} {
		if got := statusOf(&api.Error{Kind: kind}); got != want {
			t.Errorf("%q: %d, want %d", kind, got, want)
		}
	}
}
