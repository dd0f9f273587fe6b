package resource

import (
	"errors"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/network"
)

func TestRecord(t *testing.T) {
	n := &Network{
		ID: objectid.New(), CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Attachable: true, Labels: map[string]string{"com.docker.compose.project": "shop"},
		Config: network.Config{ID: "shop_default", Driver: "bridge", IPv4: true},
		Pools:  []network.Pool{{Subnet: netip.MustParsePrefix("10.1.0.0/24"), Gateway: netip.MustParseAddr("10.1.0.1")}},
	}
	raw, err := n.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if back, err := DecodeNetwork(raw); err != nil || !reflect.DeepEqual(back, n) {
		t.Errorf("%+v, %v", back, err)
	}
	c, err := n.Mark()
	if err != nil || len(c.Labels) != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	back := Marked(c)
	if back == nil || back.ID != n.ID || back.Labels["com.docker.compose.project"] != "shop" || back.Pools != nil {
		t.Errorf("%+v", back)
	}
	if Marked(network.Config{Labels: map[string]string{Label: "x"}}) != nil || Marked(network.Config{}) != nil {
		t.Error("what has no record has one")
	}
	for _, raw := range []string{"", "{}", `{"resource":1}`, `{"resource":1,"network":{}}`, `{"resource":2,"network":{"id":"x","config":{"ID":"y"}}}`} {
		if _, err := DecodeNetwork([]byte(raw)); err == nil {
			t.Errorf("%q is a record", raw)
		}
	}
}

func TestFind(t *testing.T) {
	names, ids := []string{"web", "db", "ab12"}, []string{"ab12cd", "ab34ef", "ff00ff"}
	for _, c := range []struct {
		ref  string
		want int
		err  error
	}{
		{"web", 0, nil}, {"ab34", 1, nil}, {"ab34ef", 1, nil}, {"ff", 2, nil},
		{"ab12", 2, nil}, // a name goes before the beginning of an id
		{"ab", 0, errdefs.ErrInvalidArgument}, {"x", 0, errdefs.ErrNotFound}, {"", 0, errdefs.ErrNotFound},
	} {
		got, err := Find("network", c.ref, len(names), func(i int) string { return names[i] }, func(i int) string { return ids[i] })
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q: %d, %v", c.ref, got, err)
		}
	}
}
