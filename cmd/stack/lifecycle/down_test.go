package lifecycle_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/cmd/stack/stacktest"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
)

func TestDownOfNothingWarns(t *testing.T) {
	u := stacktest.NewPerson(t, &apitest.Engine{OnDown: func(context.Context, string, ask.DownOptions, event.Sink) error { return nil }})
	code, _, errs := u.Run("down -v")
	if code != 0 || !strings.Contains(errs, "warning: nothing to remove") {
		t.Errorf("got %d, %q", code, errs)
	}
}
