package caps

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
)

func TestNamesAreInOrder(t *testing.T) {
	for name, nr := range map[string]int{
		"CAP_CHOWN": unix.CAP_CHOWN, "CAP_NET_RAW": unix.CAP_NET_RAW, "CAP_SYS_ADMIN": unix.CAP_SYS_ADMIN,
		"CAP_SETFCAP": unix.CAP_SETFCAP, "CAP_CHECKPOINT_RESTORE": unix.CAP_LAST_CAP,
	} {
		if names[nr] != name {
			t.Errorf("capability %d is %s, want %s", nr, names[nr], name)
		}
	}
	if len(names) != unix.CAP_LAST_CAP+1 {
		t.Errorf("%d names, the kernel's last is %d", len(names), unix.CAP_LAST_CAP)
	}
}

func TestResolve(t *testing.T) {
	some := without(names, []string{"CAP_SYS_RESOURCE"})
	for _, tc := range []struct {
		name       string
		add, drop  []string
		privileged bool
		want       []string
		warnings   int
	}{
		{name: "default", want: Default()},
		{name: "add", add: []string{"NET_ADMIN"}, want: append(Default(), "CAP_NET_ADMIN")},
		{name: "any spelling", add: []string{"cap_net_admin", "net_admin"}, want: append(Default(), "CAP_NET_ADMIN")},
		{name: "drop", drop: []string{"MKNOD", "CAP_NET_RAW"}, want: without(Default(), []string{"CAP_MKNOD", "CAP_NET_RAW"})},
		{name: "drop all", drop: []string{"ALL"}, want: nil},
		{name: "drop all, add one", drop: []string{"all"}, add: []string{"CHOWN"}, want: []string{"CAP_CHOWN"}},
		{name: "add all", add: []string{"ALL"}, want: some, warnings: 1},
		{name: "add all, drop one", add: []string{"ALL"}, drop: []string{"SYS_ADMIN", "SYS_RESOURCE"}, want: without(some, []string{"CAP_SYS_ADMIN"})},
		{name: "add wins over drop of the same", add: []string{"CHOWN"}, drop: []string{"CHOWN"}, want: Default()},
		{name: "privileged", privileged: true, want: some, warnings: 1},
		{name: "privileged, nothing to drop", privileged: true, drop: []string{"ALL"}, want: some, warnings: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, warnings, err := Resolve(tc.add, tc.drop, tc.privileged, some)
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Clone(tc.want)
			slices.SortFunc(want, func(a, b string) int { return slices.Index(names, a) - slices.Index(names, b) })
			for _, set := range [][]string{got.Bounding, got.Effective, got.Permitted} {
				if !slices.Equal(set, want) {
					t.Errorf("got  %v\nwant %v", set, want)
				}
			}
			if len(got.Inheritable)+len(got.Ambient) > 0 {
				t.Error("inheritable or ambient capabilities")
			}
			if len(warnings) != tc.warnings {
				t.Errorf("warnings %q", warnings)
			}
		})
	}
}

func TestResolveRefuses(t *testing.T) {
	_, _, err := Resolve([]string{"SYS_RESOURCE"}, nil, false, without(names, []string{"CAP_SYS_RESOURCE"}))
	if !errors.Is(err, errdefs.ErrNotSupported) || !strings.Contains(err.Error(), "CAP_SYS_RESOURCE") {
		t.Errorf("one that this host lacks: %v", err)
	}
	_, _, err = Resolve([]string{"NET_ADMN", "XYZZY"}, []string{"CHWON"}, false, names)
	for _, part := range []string{`"NET_ADMN", did you mean NET_ADMIN?`, `"XYZZY"`, `"CHWON", did you mean CHOWN?`, "cap_add", "cap_drop"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not say %s", err, part)
		}
	}
	if !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("kind of %v", err)
	}
}

func TestAvailable(t *testing.T) {
	got, err := parseBounding("Name:\tx\nCapBnd:\t000001fffeffffff\n")
	if err != nil || !slices.Equal(got, without(names, []string{"CAP_SYS_RESOURCE"})) {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{"", "CapBnd:\tzz\n"} {
		if _, err := parseBounding(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, err := Available(); err != nil {
		t.Error(err)
	}
}
