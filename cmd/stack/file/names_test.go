package file_test

import (
	"strings"
	"testing"

	"github.com/stackrun/stack/cmd/stack/stacktest"
)

func TestConfigNames(t *testing.T) {
	u := stacktest.NewPerson(t, nil)
	for line, want := range map[string]string{
		"config --services": "db web", "config --images": "nginx postgres", "config --profiles": "tools", "config -q": "",
		"--profile tools config --services": "batch db web", "config --services web": "db web",
	} {
		code, out, errs := u.Run(line)
		if got := strings.Join(strings.Fields(out), " "); code != 0 || got != want {
			t.Errorf("stack %s: %d, %q, %s", line, code, got, errs)
		}
	}
	if _, out, _ := u.Run("config"); !strings.Contains(out, "image: postgres") {
		t.Errorf("config printed %q", out)
	}
}
