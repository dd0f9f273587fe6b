package single

import (
	"errors"
	"strings"
	"testing"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/runtime"
)

// TestOwner: whose files a container's user makes, as docker reads the container's files of users.
func TestOwner(t *testing.T) {
	files := map[string]string{
		"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nshort\npostgres:x:70:71:PostgreSQL:/var/lib/postgresql:/bin/sh\nodd:x:nine:9::/:\n+::::::\n",
		"/etc/group":  "root:x:0:\nstaff:x:50:a,b\nodd:x:nine:\n+:::\n",
	}
	unreadable := errors.New("cannot read")
	for _, c := range []struct {
		user    string
		without bool // files
		want    runtime.Owner
		err     error
	}{
		{user: "", want: runtime.Owner{}},
		{user: "postgres", want: runtime.Owner{UID: 70, GID: 71}},
		{user: "70", want: runtime.Owner{UID: 70, GID: 71}},
		{user: "1234", want: runtime.Owner{UID: 1234}},
		{user: "postgres:staff", want: runtime.Owner{UID: 70, GID: 50}},
		{user: "postgres:50", want: runtime.Owner{UID: 70, GID: 50}},
		{user: "1234:5678", want: runtime.Owner{UID: 1234, GID: 5678}},
		{user: "postgres:", want: runtime.Owner{UID: 70, GID: 71}},
		{user: ":staff", want: runtime.Owner{GID: 50}},
		{user: "nobody", err: errdefs.ErrNotFound},
		{user: "postgres:wheel", err: errdefs.ErrNotFound},
		{user: "odd", err: errdefs.ErrNotFound},
		{user: "postgres:odd", err: errdefs.ErrNotFound},
		{user: "1234:5678", without: true, want: runtime.Owner{UID: 1234, GID: 5678}},
		{user: "postgres", without: true, err: errdefs.ErrNotFound},
		{user: "broken", err: unreadable},
	} {
		got, err := owner(c.user, func(path, name string) ([]string, error) {
			switch {
			case name == "broken":
				return nil, unreadable
			case c.without:
				return nil, nil
			}
			return entry(strings.NewReader(files[path]), name)
		})
		if c.err == nil && (err != nil || got != c.want) || !errors.Is(err, c.err) {
			t.Errorf("%q: %+v, %v; expected %+v, %v", c.user, got, err, c.want, c.err)
		}
	}
}
