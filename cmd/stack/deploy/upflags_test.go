package deploy

import "testing"

func TestExitCodeFromEndsAll(t *testing.T) {
	u := upFlags{exitCodeFrom: "test"}
	if err := u.check(); err != nil || !u.abortOnExit {
		t.Errorf("%v, --abort-on-container-exit is %v: --exit-code-from implies it", err, u.abortOnExit)
	}
}
