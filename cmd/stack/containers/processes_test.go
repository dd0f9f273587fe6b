package containers_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/cmd/stack/stacktest"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/runtime/process"
)

func TestTop(t *testing.T) {
	u := stacktest.NewPerson(t, &apitest.Engine{OnTop: func(context.Context, string) ([]ask.ContainerProcesses, error) {
		return []ask.ContainerProcesses{
			{Container: "shop-db-1", Service: "db", Replica: 1, Processes: []process.Info{{Pid: 42, PPid: 7, StartedAt: time.Now(), Args: []string{"postgres"}}}},
			{Container: "shop-web-1", Service: "web", Replica: 1, Processes: []process.Info{{Pid: 43, PPid: 7, StartedAt: time.Now(), Args: []string{"nginx"}}}},
		}, nil
	}})
	code, out, errs := u.Run("top web")
	if code != 0 || !strings.HasPrefix(stacktest.Squeezed(out), "SERVICE # UID PID PPID C STIME TTY TIME CMD web 1 root 43 7 0 ") || strings.Contains(out, "postgres") {
		t.Errorf("code %d, %s%s", code, out, errs)
	}
	if _, out, _ := u.Run("top batch"); out != "" {
		t.Errorf("of a service that does not run: %q", out)
	}
	if code, _, errs := u.Run("top nobody"); code != 1 || !strings.Contains(errs, "no such service: nobody") {
		t.Errorf("code %d, %s", code, errs)
	}
}
