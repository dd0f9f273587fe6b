package host

import (
	"strings"
	"testing"
)

func TestLsQuotesPathsThatWouldBreakTheTable(t *testing.T) {
	var b strings.Builder
	if err := writeLs(&b, []lsRow{{Name: "plain", Status: "running(1)", ConfigFiles: "/srv/a b/compose.yaml"}, {Name: "odd", Status: "exited(1)", ConfigFiles: "/srv/new\nline/\x1b[2J.yaml", Directory: "/srv"}}); err != nil {
		t.Fatal(err)
	}
	want := "NAME    STATUS       CONFIG FILES\n" +
		"plain   running(1)   /srv/a b/compose.yaml\n" +
		"odd     exited(1)    \"/srv/new\\nline/\\x1b[2J.yaml\"\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
