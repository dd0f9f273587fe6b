package network

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stackrun/stack/network/membership"
	"github.com/stackrun/stack/network/publish"
	"github.com/stackrun/stack/network/record"
)

// FuzzRecords: whatever lies where the records of networks and sandboxes were, the next daemon reads them, takes what it can and removes the rest:
// what it does with a record of an address that nobody gave, or of a driver that it has not, is for it to survive.
func FuzzRecords(f *testing.F) {
	net, err := json.Marshal(record.Network{Epoch: "now", Config: Config{ID: "n", IPv4: true}, Link: "br", Pools: []Pool{{Subnet: netip.MustParsePrefix("10.9.0.0/24"), Gateway: netip.MustParseAddr("10.9.0.1")}}})
	if err != nil {
		f.Fatal(err)
	}
	box, err := json.Marshal(record.Sandbox{
		Epoch: "now", Config: SandboxConfig{ContainerID: "c", Succeeds: "d", Ports: []Port{{HostPort: 80, ContainerPort: 80, Protocol: "tcp"}}},
		Endpoints: []Endpoint{{EndpointConfig: EndpointConfig{Network: "n", Names: []string{"web"}}, Addr4: netip.MustParsePrefix("10.9.0.2/24"), Gateway4: netip.MustParseAddr("10.9.0.1")}},
		Ports:     []Port{{HostPort: 80, ContainerPort: 80, Protocol: "tcp"}},
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
		d := &Driver{networks: membership.New(r), sandboxes: map[string]*sandbox{}}
		for _, rec := range networks {
			if n, err := d.networks.Adopt(rec); err != nil {
				t.Fatal(err)
			} else if n != nil {
				d.medium(rec.Config).Firewall(rec)
			}
		}
		for _, rec := range sandboxes {
			rec.Config.Ports = rec.Config.Ports[:min(len(rec.Config.Ports), 100)]
			d.portsOf(rec)
			for _, k := range publish.Inherit(d.portsOf(rec), rec.Ports) {
				if k >= len(rec.Ports) {
					t.Errorf("port %d of %d", k, len(rec.Ports))
				}
			}
			d.forwards(rec)
			d.guests(rec)
			rec.Ports = nil // binds no socket of this host
			d.adoptSandbox(rec)
			d.networks.Silence(rec)
			d.networks.Give(rec.Endpoints, rec.Config.Name())
		}
	})
}

// epoch is what records of this boot and namespace say.
func epoch(t testing.TB) string {
	dir := t.TempDir()
	r, err := record.Open(dir)
	if err == nil {
		err = errors.Join(os.Mkdir(filepath.Join(dir, "networks"), 0o700), os.Mkdir(filepath.Join(dir, "sandboxes"), 0o700), r.PutNetwork(record.Network{Config: Config{ID: "n"}}))
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
