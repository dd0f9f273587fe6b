package cli

import (
	"testing"

	"github.com/stackrun/stack/reconcile/ask"
)

func TestOffline(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		variable string
		flag     *bool
		want     bool
	}{{"", nil, false}, {"1", nil, true}, {"false", nil, false}, {"1", &no, false}, {"0", &yes, true}, {"", &yes, true}} {
		if got, err := (Environment{offline: c.variable}).Offline(c.flag); got != c.want || err != nil {
			t.Errorf("%s=%q, flag %v: %v, %v", offline, c.variable, c.flag, got, err)
		}
	}
	if _, err := (Environment{offline: "some"}).Offline(nil); err == nil {
		t.Error("STACK_OFFLINE=some is taken")
	}
}

func TestHostPorts(t *testing.T) {
	for _, c := range []struct {
		variable    string
		flag, given bool
		want        string
	}{
		{"", false, false, ""}, {"", true, true, ask.PortsAuto}, {"", false, true, ask.PortsOfFile},
		{"1", false, false, ask.PortsAuto}, {"true", false, true, ask.PortsOfFile}, {"0", false, false, ""}, {"0", true, true, ask.PortsAuto},
	} {
		env := Environment{autoPorts: c.variable}
		if got, err := env.HostPorts(c.flag, c.given); got != c.want || err != nil {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
	env := Environment{autoPorts: "some"}
	if _, err := env.HostPorts(false, false); err == nil {
		t.Error("STACK_AUTO_PORTS=some is taken")
	}
}
