package options

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stackrun/stack/internal/roots"
)

// TestLine: what the command says to the daemon's program arrives.
func TestLine(t *testing.T) {
	r := roots.Roots{State: "/s", Run: "/r"}
	for _, want := range []Options{
		{Roots: r},
		{Roots: r, Config: "/etc/c.yaml", Idle: 90 * time.Second, AutoStarted: true, ReadyFD: 3},
		{Roots: r, AutoStarted: true},
		{Roots: r, Remote: Remote{Hosts: []string{"tcp://127.0.0.1:1", "tcp://[::1]:2"}, Verify: true, CA: "/ca", Cert: "/c", Key: "/k"}},
	} {
		line := want.Line()
		if line[0] != Verb {
			t.Fatalf("the line begins with %q", line[0])
		}
		got, err := Parse(line[1:])
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, got\n%+v, want\n%+v", line, err, got, want)
		}
	}
	for _, line := range []string{"", "--state-root /s", "--state-root /s --run-root /r extra", "--state-root /s --run-root /r --unknown"} {
		if got, err := Parse(strings.Fields(line)); err == nil {
			t.Errorf("%q: %+v", line, got)
		}
	}
}

// TestRemote: nothing is served by TCP that asks for no certificate, and what is left out is named.
func TestRemote(t *testing.T) {
	with := func(r Remote) Remote {
		r.CA, r.Cert, r.Key = "/none/ca.pem", "/none/cert.pem", "/none/key.pem"
		return r
	}
	for _, c := range []struct {
		r    Remote
		want string
	}{
		{Remote{}, ""},
		{Remote{Hosts: []string{"tcp://127.0.0.1:2376"}}, "--tlsverify"},
		{with(Remote{Hosts: []string{"tcp://127.0.0.1:2376"}}), "--tlsverify"},
		{Remote{Hosts: []string{"tcp://127.0.0.1:2376"}, Verify: true}, "--tlscacert"},
		{with(Remote{Verify: true}), "--host"},
		{with(Remote{Hosts: []string{"unix:///x"}, Verify: true}), "unix:///x"},
		{with(Remote{Hosts: []string{"tcp://127.0.0.1"}, Verify: true}), "tcp://ADDRESS:PORT"},
		{with(Remote{Hosts: []string{"tcp://127.0.0.1:2376"}, Verify: true}), ""},
	} {
		if err := c.r.Check(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.r, err)
		}
	}
}
