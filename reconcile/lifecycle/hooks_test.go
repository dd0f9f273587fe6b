package lifecycle

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stackrun/stack/reconcile/await"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/supervise"
)

// TestHookProcess: a hook is run as its file says, with its variables in an order that is always the same.
func TestHookProcess(t *testing.T) {
	p := HookProcess(plan.Hook{Command: []string{"a", "b"}, WorkingDir: "/w", User: "u", Privileged: true, Environment: map[string]string{"Z": "1", "A": "x=y", "M": ""}})
	if !slices.Equal(p.Args, []string{"a", "b"}) || p.Cwd != "/w" || p.User != "u" || !p.Privileged || !slices.Equal(p.Env, []string{"A=x=y", "M=", "Z=1"}) {
		t.Errorf("%+v", p)
	}
	if p.Note == "" {
		t.Error("what it prints is not to be told from the container's own")
	}
}

// TestHookAdvice: who cannot stop a container because of its hook is told how to end it; other hooks hold nothing up.
func TestHookAdvice(t *testing.T) {
	for key, want := range map[string]bool{"pre_stop[1]": true, "post_start[0]": false, "pre_start[0]": false} {
		cause := errors.New("it broke")
		err := fmt.Errorf("cannot stop: %w", &HookError{Key: key, service: "web", err: cause})
		var hook *HookError
		if !errors.As(err, &hook) || !errors.Is(err, cause) || strings.Contains(hook.Advice(), "`stack kill web`") != want {
			t.Errorf("%s: %v, advice %q", key, err, hook.Advice())
		}
	}
}

// TestUntilStepDone: a step is done when it has exited with 0; any other end ends the wait, and says what has ended how.
func TestUntilStepDone(t *testing.T) {
	for _, c := range []struct {
		name   string
		spec   plan.Spec
		status supervise.Status
		done   bool
		want   string // of the error
	}{
		{"it runs", plan.Spec{Command: []string{"x"}}, supervise.Status{State: supervise.Running}, false, ""},
		{"a restart is due", plan.Spec{Command: []string{"x"}}, supervise.Status{State: supervise.Backoff, Exit: &supervise.Exit{Code: 1}}, false, ""},
		{"exited with 0", plan.Spec{Command: []string{"x"}}, supervise.Status{State: supervise.Ended, Exit: &supervise.Exit{}}, true, ""},
		{"exited with 3", plan.Spec{Command: []string{"migrate", "--all"}}, supervise.Status{State: supervise.Ended, Exit: &supervise.Exit{Code: 3}}, false, `"migrate --all" exited with code 3`},
		{"the image's own command", plan.Spec{Image: "setup:1"}, supervise.Status{State: supervise.Ended, Exit: &supervise.Exit{Code: 3}}, false, "image setup:1 exited with code 3"},
		{"never ran", plan.Spec{Command: []string{"x"}}, supervise.Status{State: supervise.Ended}, false, `"x" does not run`},
	} {
		done, err := untilStepDone(&inventory.Container{Spec: c.spec})(nil, c.status)
		var not *await.NotReady
		if done != c.done || (err == nil) != (c.want == "") || err != nil && (err.Error() != c.want || !errors.As(err, &not)) {
			t.Errorf("%s: %v, %v; expected %v, %q", c.name, done, err, c.done, c.want)
		}
	}
}
