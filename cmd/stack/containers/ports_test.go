package containers

import (
	"strings"
	"testing"

	"github.com/stackrun/stack/reconcile/ask"
)

func TestPortRows(t *testing.T) {
	both := func(target, published int, asked string) []ask.Publisher {
		return []ask.Publisher{{URL: "0.0.0.0", TargetPort: target, PublishedPort: published, Protocol: "tcp", Asked: asked}, {URL: "::", TargetPort: target, PublishedPort: published, Protocol: "tcp", Asked: asked}}
	}
	all := []ask.Container{
		{Service: "web-app", Replica: 2, Ports: both(80, 8001, "8000-8001")},
		{Service: "web-app", Replica: 1, Ports: append(both(80, 8000, "8000-8001"), ask.Publisher{TargetPort: 443, Protocol: "tcp"})},
		{Service: "1db", Replica: 1, Ports: []ask.Publisher{{URL: "::", TargetPort: 53, PublishedPort: 20001, Protocol: "udp", Asked: "53"}, {URL: "192.0.2.1", TargetPort: 5432, PublishedPort: 40000, Protocol: "tcp"}}},
		{Service: "web-app", OneOff: true, Ports: both(80, 9999, "")},
	}
	var b strings.Builder
	if err := writePortVariables(&b, portRows(all, nil)); err != nil {
		t.Fatal(err)
	}
	want := `_1DB_PORT_53_UDP_ADDR=::1
_1DB_PORT_53_UDP_PORT=20001
_1DB_PORT_5432_TCP_ADDR=192.0.2.1
_1DB_PORT_5432_TCP_PORT=40000
WEB_APP_PORT_80_TCP_ADDR=127.0.0.1
WEB_APP_PORT_80_TCP_PORT=8000
WEB_APP_2_PORT_80_TCP_ADDR=127.0.0.1
WEB_APP_2_PORT_80_TCP_PORT=8001
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	if rows := portRows(all, []string{"1db"}); len(rows) != 2 || rows[0].Asked != "53" || rows[0].HostIP != "::" {
		t.Errorf("of one service: %+v", rows)
	}
	all = append(all, ask.Container{Service: "web_app", Replica: 1, Ports: both(80, 7000, "7000")})
	if err := writePortVariables(&b, portRows(all, nil)); err == nil || !strings.Contains(err.Error(), "web-app and replica 1 of web_app") {
		t.Errorf("two services of one variable: %v", err)
	}
}
