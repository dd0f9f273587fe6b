package mountinfo

import "testing"

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		"/plain": "/plain", `/a\040b`: "/a b", `/a\134040`: `/a\040`, `/tab\011nl\012`: "/tab\tnl\n", `/hash\043`: "/hash#",
		`/no\04`: `/no\04`, `/no\999`: `/no\999`, `\`: `\`,
	} {
		if got := Unescape(in); got != want {
			t.Errorf("%s: %q, not %q", in, got, want)
		}
	}
}
