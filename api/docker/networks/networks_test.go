package networks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/network"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/internal/errdefs"
	rooms "github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/resource"
)

type fake struct {
	all     []resource.NetworkDetail
	made    *resource.NetworkRequest
	removed string
	err     error
}

func (f *fake) List(context.Context) ([]resource.NetworkDetail, error) { return f.all, f.err }

func (f *fake) Inspect(_ context.Context, ref string) (resource.NetworkDetail, error) {
	for _, d := range f.all {
		if d.Name == ref {
			return d, nil
		}
	}
	return resource.NetworkDetail{}, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("network %s not found", ref))
}

func (f *fake) Create(_ context.Context, r resource.NetworkRequest) (resource.NetworkDetail, error) {
	f.made = &r
	return resource.NetworkDetail{ID: "new", Driver: r.Config.Driver}, f.err
}

func (f *fake) Remove(_ context.Context, ref string) error {
	f.removed = ref
	return f.err
}

func (f *fake) Prune(_ context.Context, which func(resource.NetworkDetail) bool) (gone []string, _ error) {
	for _, d := range f.all {
		if which(d) {
			gone = append(gone, d.Name)
		}
	}
	return gone, f.err
}

func ask(t *testing.T, f *fake, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	var m wire.Mux
	m.Add(Routes(f)...)
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	return w
}

var created = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

func networks() *fake {
	return &fake{all: []resource.NetworkDetail{
		{ID: "b1", Name: "bridge", Driver: "bridge", Predefined: true, Config: rooms.Config{IPv4: true}, Labels: map[string]string{}},
		{ID: "5f00d", Name: "shop_default", Driver: "bridge", CreatedAt: created, Link: "sb1-0", Labels: map[string]string{"com.docker.compose.project": "shop"},
			Config: rooms.Config{ID: "shop_default", IPv4: true, Internal: true, DriverOpts: map[string]string{"o": "1"}}, AuxNames: map[string]string{"10.1.0.9": "printer"},
			Pools:   []rooms.Pool{{Subnet: netip.MustParsePrefix("10.1.0.0/24"), Gateway: netip.MustParseAddr("10.1.0.1"), Aux: []netip.Addr{netip.MustParseAddr("10.1.0.9")}}},
			Members: []resource.NetworkMember{{ContainerID: "c1", Name: "web", EndpointID: "e1", MAC: "02:42:0a:01:00:02", IPv4: netip.MustParsePrefix("10.1.0.2/24")}}},
		{ID: "5f11e", Name: "idle", Driver: "macvlan", CreatedAt: created.Add(time.Hour), Labels: map[string]string{}},
	}}
}

func TestList(t *testing.T) {
	for filters, want := range map[string]string{
		"":                             "bridge shop_default idle",
		`{"name":{"shop":true}}`:       "shop_default",
		`{"name":["^idle$","bridge"]}`: "bridge idle",
		`{"driver":{"macvlan":true}}`:  "idle",
		`{"type":{"custom":true}}`:     "shop_default idle",
		`{"type":{"builtin":true}}`:    "bridge",
		`{"dangling":{"true":true}}`:   "idle",
		`{"dangling":{"0":true}}`:      "bridge shop_default",
		`{"label":{"com.docker.compose.project=shop":true}}`: "shop_default",
		`{"id":{"5f":true}}`:       "shop_default idle",
		`{"scope":{"swarm":true}}`: "",
		`{"type":{"other":true}}`:  "400",
		`{"colour":{"red":true}}`:  "400",
	} {
		w := ask(t, networks(), "GET", "/networks?filters="+strings.NewReplacer("{", "%7B", "}", "%7D", `"`, "%22").Replace(filters), "")
		var rows []network.Inspect
		got := fmt.Sprint(w.Code)
		if w.Code == http.StatusOK {
			if err := json.Unmarshal(w.Body.Bytes(), &rows); err != nil || rows == nil {
				t.Fatalf("%s: %s, %v", filters, w.Body, err)
			}
			var names []string
			for _, r := range rows {
				names = append(names, r.Name)
			}
			got = strings.Join(names, " ")
		}
		if got != want {
			t.Errorf("%s: %s, expected %s", filters, got, want)
		}
	}
}

func TestInspect(t *testing.T) {
	w := ask(t, networks(), "GET", "/v1.51/networks/shop_default", "")
	want := `{"Name":"shop_default","Id":"5f00d","Created":"2026-01-02T03:04:05.000000006Z","Scope":"local","Driver":"bridge","EnableIPv4":true,"EnableIPv6":false,` +
		`"IPAM":{"Driver":"default","Options":null,"Config":[{"Subnet":"10.1.0.0/24","Gateway":"10.1.0.1","AuxiliaryAddresses":{"printer":"10.1.0.9"}}]},"Internal":true,"Attachable":false,"Ingress":false,` +
		`"ConfigFrom":{"Network":""},"ConfigOnly":false,"Options":{"o":"1"},"Labels":{"com.docker.compose.project":"shop"},` +
		`"Containers":{"c1":{"Name":"web","EndpointID":"e1","MacAddress":"02:42:0a:01:00:02","IPv4Address":"10.1.0.2/24","IPv6Address":""}}}`
	if got := strings.TrimSpace(w.Body.String()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if w := ask(t, networks(), "GET", "/networks/nobody", ""); w.Code != http.StatusNotFound {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask(t, networks(), "GET", "/networks/shop_default?scope=swarm", ""); w.Code != http.StatusNotFound {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestCreate(t *testing.T) {
	f := &fake{}
	w := ask(t, f, "POST", "/networks/create", `{"Name":"n","CheckDuplicate":true,"EnableIPv6":true,"Internal":true,"Attachable":true,"Labels":{"a":"b"},"Options":{"nonsense":"1"},
		"IPAM":{"Driver":"default","Config":[{"Subnet":"10.1.0.7/24","IPRange":"10.1.0.128/25","Gateway":"10.1.0.1","AuxiliaryAddresses":{"printer":"10.1.0.9"}}]}}`)
	var answer network.CreateResponse
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusCreated || answer.ID != "new" || !strings.Contains(answer.Warning, "nonsense") {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	want := &resource.NetworkRequest{Labels: map[string]string{"a": "b"}, Attachable: true, AuxNames: map[string]string{"10.1.0.9": "printer"}, Config: rooms.Config{
		ID: "n", Driver: "bridge", Internal: true, IPv4: true, IPv6: true, DriverOpts: map[string]string{"nonsense": "1"},
		Pools: []rooms.Pool{{Subnet: netip.MustParsePrefix("10.1.0.0/24"), Range: netip.MustParsePrefix("10.1.0.128/25"), Gateway: netip.MustParseAddr("10.1.0.1"), Aux: []netip.Addr{netip.MustParseAddr("10.1.0.9")}}},
	}}
	if !reflect.DeepEqual(f.made, want) {
		t.Errorf("got  %+v\nwant %+v", f.made, want)
	}
	for body, status := range map[string]int{
		`{"Name":" "}`:                                            400,
		`{"Name":"bridge"}`:                                       403,
		`{"Name":"n","Driver":"host"}`:                            403,
		`{"Name":"n","Scope":"swarm"}`:                            501,
		`{"Name":"n","Ingress":true}`:                             501,
		`{"Name":"n","ConfigOnly":true}`:                          501,
		`{"Name":"n","ConfigFrom":{"Network":"x"}}`:               501,
		`{"Name":"n","IPAM":{"Driver":"dhcp"}}`:                   501,
		`{"Name":"n","IPAM":{"Options":{"a":"b"}}}`:               501,
		`{"Name":"n","IPAM":{"Config":[{"Gateway":"10.0.0.1"}]}}`: 400,
		`{"Name":"n","IPAM":{"Config":[{"Subnet":"x"}]}}`:         400,
		`{"Name":"n","Colour":"red"}`:                             400,
	} {
		f := &fake{}
		if w := ask(t, f, "POST", "/networks/create", body); w.Code != status || f.made != nil {
			t.Errorf("%s: %d %s, made %v", body, w.Code, w.Body, f.made)
		}
	}
	for body, want := range map[string][2]bool{ // IPv4, IPv6
		`{"Name":"n"}`: {true, false},
		`{"Name":"n","Options":{"com.docker.network.enable_ipv6":"true","com.docker.network.enable_ipv4":"false"}}`:                                      {false, true},
		`{"Name":"n","EnableIPv4":true,"EnableIPv6":false,"Options":{"com.docker.network.enable_ipv6":"true","com.docker.network.enable_ipv4":"false"}}`: {true, false},
	} {
		f := &fake{}
		if w := ask(t, f, "POST", "/networks/create", body); w.Code != http.StatusCreated || [2]bool{f.made.Config.IPv4, f.made.Config.IPv6} != want {
			t.Errorf("%s: %d %s, made %+v", body, w.Code, w.Body, f.made)
		}
	}
	taken := &fake{err: errdefs.With(errdefs.ErrAlreadyExists, errors.New("network with name n already exists"))}
	if w := ask(t, taken, "POST", "/networks/create", `{"Name":"n"}`); w.Code != http.StatusConflict {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestRemove(t *testing.T) {
	for status, err := range map[int]error{204: nil, 403: errdefs.With(errdefs.ErrConflict, errors.New("has active endpoints")), 404: errdefs.With(errdefs.ErrNotFound, errors.New("x")), 500: errors.New("x")} {
		f := &fake{err: err}
		if w := ask(t, f, "DELETE", "/networks/n", ""); w.Code != status || f.removed != "n" {
			t.Errorf("%v: %d %s", err, w.Code, w.Body)
		}
	}
	// A name may have slashes, and clients send them as they please.
	for _, path := range []string{"/networks/a%2Fb", "/v1.44/networks/a/b"} {
		f := &fake{}
		if w := ask(t, f, "DELETE", path, ""); w.Code != http.StatusNoContent || f.removed != "a/b" {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestPrune(t *testing.T) {
	for query, want := range map[string]string{
		"": `{"NetworksDeleted":["bridge","shop_default","idle"]}`,
		"?filters=%7B%22label!%22:%5B%22com.docker.compose.project%22%5D,%22until%22:%5B%222026-01-02T03:30:00Z%22%5D%7D": `{"NetworksDeleted":["bridge"]}`,
	} {
		if w := ask(t, networks(), "POST", "/networks/prune"+query, ""); strings.TrimSpace(w.Body.String()) != want {
			t.Errorf("%s: %s", query, w.Body)
		}
	}
}

func FuzzCreate(f *testing.F) {
	f.Add(`{"Name":"n","IPAM":{"Config":[{"Subnet":"10.1.0.0/24","IPRange":"::/0","AuxiliaryAddresses":{"a":"1.2.3.4"}}]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var body network.CreateRequest
		if wire.DecodeText([]byte(text), &body) != nil {
			return
		}
		req, err := request(body)
		if err == nil {
			_ = req.Config.Check() // whatever it says, it says it
		}
	})
}
