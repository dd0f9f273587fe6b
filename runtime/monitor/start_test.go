package monitor_test

import (
	"strings"
	"testing"
)

func TestRunsAProgram(t *testing.T) {
	c := newContainer(t, image(t), "echo out; echo err >&2; hostname; id; pwd; cat /proc/self/mountinfo; ls -l /dev; ps; env; exit 7")
	c.cgroups()
	exit, out := c.run()
	t.Log(out)
	if exit.Code != 7 || exit.Signal != 0 || exit.OOM {
		t.Errorf("exit %+v, want 7", exit)
	}
	for _, want := range []string{"out\n", "err\n", "box\n", "uid=0(root) gid=0(root)"} {
		if !strings.Contains(out, want) {
			t.Errorf("log has no %q", want)
		}
	}
}
