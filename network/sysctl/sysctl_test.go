package sysctl

import "testing"

func TestProblem(t *testing.T) {
	all := []Setting{{Name: "net/ipv4/ip_forward", Value: "1"}, {Name: "net/ipv6/conf/br0/accept_ra", Value: "0", Optional: true}}
	for want, have := range map[string]map[string]string{
		"": {"net/ipv4/ip_forward": "1"}, // the kernel has no IPv6
		"sysctl net.ipv4.ip_forward is 0, set was 1":         {"net/ipv4/ip_forward": "0"},
		"sysctl net.ipv4.ip_forward is gone, set was 1":      {"net/ipv6/conf/br0/accept_ra": "0"},
		"sysctl net.ipv6.conf.br0.accept_ra is 2, set was 0": {"net/ipv4/ip_forward": "1", "net/ipv6/conf/br0/accept_ra": "2"},
	} {
		if got := Problem(all, have); got != want {
			t.Errorf("%v: %q, expected %q", have, got, want)
		}
	}
}
