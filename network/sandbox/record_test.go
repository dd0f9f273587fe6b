package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stackrun/stack/network/cabling"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/media"
	"github.com/stackrun/stack/network/membership"
	"github.com/stackrun/stack/network/publish"
	"github.com/stackrun/stack/network/record"
)

// FuzzRecords: whatever lies where the records of networks and sandboxes were, the next daemon reads them, takes what it can and removes the rest:
// what it does with a record of an address that nobody gave, or of a driver that it has not, is for it to survive.
func FuzzRecords(f *testing.F) {
	net, err := json.Marshal(record.Network{Epoch: "now", Config: definition.Config{ID: "n", IPv4: true}, Link: "br", Pools: []definition.Pool{{Subnet: netip.MustParsePrefix("10.9.0.0/24"), Gateway: netip.MustParseAddr("10.9.0.1")}}})
	if err != nil {
		f.Fatal(err)
	}
	box, err := json.Marshal(record.Sandbox{
		Epoch: "now", Config: definition.SandboxConfig{ContainerID: "c", Succeeds: "d", Ports: []definition.Port{{HostPort: 80, ContainerPort: 80, Protocol: "tcp"}}},
		Endpoints: []record.Endpoint{{EndpointConfig: definition.EndpointConfig{Network: "n", Names: []string{"web"}}, Addr4: netip.MustParsePrefix("10.9.0.2/24"), Gateway4: netip.MustParseAddr("10.9.0.1")}},
		Ports:     []definition.Port{{HostPort: 80, ContainerPort: 80, Protocol: "tcp"}},
	})
	if err != nil {
		f.Fatal(err)
	}
	now := epoch(f)
	f.Add(net, box)
	f.Add([]byte(`{"Epoch":"now","Config":{"ID":"n","Driver":"overlay"}}`), box)
	f.Add([]byte(`{"Epoch":"now","Config":{"ID":"n"},"Pools":[{"Subnet":"10.9.0.0/24"},{"Subnet":""}]}`), []byte(`{"Epoch":"now","Config":{"ContainerID":"c","Succeeds":"c"},"Turn":1}`))
	f.Add([]byte(`null`), []byte(`{"Epoch":"now","Config":{"ContainerID":"c"},"Endpoints":[{"Network":"n","Addr4":"fe80::1/64"}],"Ports":[{}]}`))
	f.Fuzz(func(t *testing.T, net, box []byte) {
		dir := t.TempDir()
		for to, text := range map[string][]byte{"networks": net, "sandboxes": box} {
			text = bytes.ReplaceAll(text, []byte(`"Epoch":"now"`), []byte(`"Epoch":"`+now+`"`))
			if err := errors.Join(os.Mkdir(filepath.Join(dir, to), 0o700), os.WriteFile(filepath.Join(dir, to, "x.json"), text, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		r, err := record.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		networks, sandboxes, err := r.Load()
		if err != nil {
			t.Fatal(err)
		}
		for to, kept := range map[string]int{"networks": len(networks), "sandboxes": len(sandboxes)} {
			if left, err := os.ReadDir(filepath.Join(dir, to)); err != nil || len(left) != kept {
				t.Errorf("%s: %d records, %d files, %v", to, kept, len(left), err)
			}
		}
		m := media.New(nil, nil)
		known := membership.New(r)
		sb := New(Parts{Book: NewBook(dir), Records: r, Networks: known, Cabling: cabling.New(known, m)})
		for _, rec := range networks {
			if n, err := known.Adopt(rec); err != nil {
				t.Fatal(err)
			} else if n != nil {
				m.Of(rec.Config).Firewall(rec)
			}
		}
		for _, rec := range sandboxes {
			rec.Config.Ports = rec.Config.Ports[:min(len(rec.Config.Ports), 100)]
			for _, k := range publish.Inherit(sb.portsOf(rec), rec.Ports) {
				if k >= len(rec.Ports) {
					t.Errorf("port %d of %d", k, len(rec.Ports))
				}
			}
			sb.forwards(rec)
			sb.cabling.Guests(rec.Endpoints)
			rec.Ports = nil // binds no socket of this host
			sb.adopt(rec)
			known.Silence(rec)
			known.Give(rec.Endpoints, rec.Config.Name())
		}
	})
}

// epoch is what records of this boot and namespace say.
func epoch(t testing.TB) string {
	dir := t.TempDir()
	r, err := record.Open(dir)
	if err == nil {
		err = errors.Join(os.Mkdir(filepath.Join(dir, "networks"), 0o700), os.Mkdir(filepath.Join(dir, "sandboxes"), 0o700), r.PutNetwork(record.Network{Config: definition.Config{ID: "n"}}))
	}
	if err != nil {
		t.Fatal(err)
	}
	all, _, err := r.Load()
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	return all[0].Epoch
}
