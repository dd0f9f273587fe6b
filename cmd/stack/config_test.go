package main

import (
	"regexp"
	"strings"
	"testing"
)

func TestConfigTellsOneThing(t *testing.T) {
	u := newPerson(t, nil)
	u.write("compose.yaml", "services:\n  web:\n    image: nginx:${TAG:-1}\n    user: ${WHO:?say who}\n  tool:\n    image: busybox\n    profiles: [tools]\n")
	u.env["WHO"] = "me"
	for _, tt := range []struct{ line, want string }{
		{"config --services", `^web\n$`},
		{"config --images", `^nginx:1\n$`},
		{"config --hash *", `^web [0-9a-f]{64}\n$`},
		{"config --hash tool", `^tool [0-9a-f]{64}\n$`},
		{"config --variables", `^NAME +REQUIRED +DEFAULT VALUE +ALTERNATE VALUE\nTAG +false +1 +\nWHO +true +\n$`},
	} {
		code, out, errs := u.run(tt.line)
		if code != 0 || !regexp.MustCompile(tt.want).MatchString(out) {
			t.Errorf("stack %s: code %d, %q; %s", tt.line, code, out, errs)
		}
	}
	// The hash follows the configuration, and only that.
	_, before, _ := u.run("config --hash web")
	u.env["TAG"] = "2"
	_, after, _ := u.run("config --hash web")
	u.env["TAG"] = "1"
	_, again, _ := u.run("config --hash web")
	if before == after || before != again {
		t.Errorf("hashes %q", strings.Fields(before+after+again))
	}
}
