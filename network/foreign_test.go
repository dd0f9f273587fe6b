package network

import (
	"os/exec"
	"strings"
	"testing"

	harness "github.com/stackrun/stack/internal/sandbox"
)

// nftables runs nft(8) with a script, and returns what it prints.
func nftables(t testing.TB, script string) string {
	t.Helper()
	cmd := exec.Command(harness.Tool(t, "nft"), "--file", "-")
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("nft: %v\n%s\n%s", err, script, out)
	}
	return string(out)
}

// What Docker and ufw leave behind: a chain that drops what nobody spoke for.
const (
	dropping = `table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; }
table ip6 filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; }
`
	beside = `table ip filter { chain DOCKER-USER { }; chain FORWARD { type filter hook forward priority 0; policy drop; jump DOCKER-USER; }; }
table ip6 filter { chain DOCKER-USER { }; chain FORWARD { type filter hook forward priority 0; policy drop; jump DOCKER-USER; }; }
`
)

func TestFirewallsOfOthers(t *testing.T) {
	for name, c := range map[string]struct{ script, chain string }{
		"policy drop": {dropping, "FORWARD"},
		"docker":      {beside, "DOCKER-USER"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			out := h.outside()
			out.greet(80, "out")
			nftables(t, c.script)
			t.Cleanup(func() { nftables(t, "delete table ip filter\ndelete table ip6 filter\n") })
			before := nftables(t, "list ruleset")
			h.network(Config{ID: "p_default", IPv4: true, IPv6: true})
			web := h.setup(SandboxConfig{ContainerID: "web", Endpoints: []EndpointConfig{{Network: "p_default"}},
				Ports: []Port{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}}})
			web.greet(80, "web")
			works := func() {
				t.Helper()
				for _, to := range []string{outsideAddr + ":80", "[" + outsideAddr6 + "]:80"} {
					if got, err := web.ask(to); err != nil || !strings.HasPrefix(got, "out ") {
						t.Errorf("outwards, %s: %q, %v", to, got, err)
					}
				}
				for _, to := range []string{hostAddr + ":8080", "[" + hostAddr6 + "]:8080"} {
					if got, err := out.ask(to); err != nil || !strings.HasPrefix(got, "web ") {
						t.Errorf("inwards, %s: %q, %v", to, got, err)
					}
				}
			}
			works()
			if rules := nftables(t, "list chain ip filter "+c.chain); strings.Count(rules, "accept") != 2 {
				t.Errorf("not where Docker wants it, or twice:\n%s", rules)
			}

			// The other firewall is loaded anew: it is seen, and mended.
			nftables(t, "flush chain ip filter "+c.chain+"\n")
			if all, err := h.List(t.Context()); err != nil || len(all) != 1 || !strings.Contains(all[0].Problem, c.chain+" of table ip filter") {
				t.Errorf("the loss is not seen: %+v, %v", all, err)
			}
			h.network(Config{ID: "p_default", IPv4: true, IPv6: true})
			works()

			// A daemon that comes later finds them, and adds none.
			if err := h.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			h.start()
			if rules := nftables(t, "list chain ip filter "+c.chain); strings.Count(rules, "accept") != 2 {
				t.Errorf("after the next daemon:\n%s", rules)
			}
			h.remove()
			if after := nftables(t, "list ruleset"); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}
