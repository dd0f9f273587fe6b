package settings

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	got, err := Parse("c.yaml", []byte(`
registries:
  mirrors: {docker.io: ["http://127.0.0.1:5000"]}
  insecure: [registry.local]
address-pools: [{base: 10.201.0.0/16, size: 26}]
dns: [127.0.0.1, "::1"]
keep-removed-volumes: 36h
offline: true
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Settings{
		Registries:   Registries{Mirrors: map[string][]string{"docker.io": {"http://127.0.0.1:5000"}}, Insecure: []string{"registry.local"}},
		AddressPools: []Pool{{netip.MustParsePrefix("10.201.0.0/16"), 26}},
		DNS:          []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")},
		KeepVolumes:  36 * time.Hour,
		Offline:      true,
	}
	same := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	sameAddr := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if diff := cmp.Diff(want, got, same, sameAddr); diff != "" {
		t.Error(diff)
	}
	for _, empty := range []string{"", "# nothing\n", "dns:\n", "{}"} {
		if s, err := Parse("c.yaml", []byte(empty)); err != nil || s.DNS != nil {
			t.Errorf("%q: %v, %v", empty, s, err)
		}
	}
}

func TestFaultsHaveTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		"keep-removed-volumes: 1 day":                        `c.yaml:1:23: keep-removed-volumes: expected a duration such as 24h but got "1 day"`,
		"keep-removed-volumes: -1h":                          `c.yaml:1:23: keep-removed-volumes: expected a duration such as 24h but got "-1h"`,
		"offline: sometimes":                                 `c.yaml:1:10: offline: expected true or false but got "sometimes"`,
		"dns: [1.1.1.1, x]":                                  `c.yaml:1:16: dns: expected an IP address but got "x"`,
		"a: 1\ndns: 5":                                       `c.yaml:1:1: configuration: unknown key "a", expected registries, address-pools, dns`,
		"\nregistries:\n  mirror: {}":                        `c.yaml:3:3: registries: unknown key "mirror"`,
		"registries: {mirrors: {docker.io: [\"nonsense\"]}}": `c.yaml:1:36: registries.mirrors.docker.io: expected an http or https URL`,
		"address-pools: [{base: 10.0.0.0/8, size: 40}]":      `c.yaml:1:17: address-pools: size 40 of 10.0.0.0/8: expected 8 to 30`,
		"address-pools: [{base: ten, size: 24}]":             `c.yaml:1:24: address-pools: expected a prefix`,
		"dns: []\ndns: []":                                   `c.yaml:2:1: configuration: key "dns" is there twice`,
		"[":                                                  `c.yaml:`,
		"- a":                                                `c.yaml:1:1: configuration: expected a mapping`,
	} {
		_, err := Parse("c.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestMissingFile(t *testing.T) {
	if _, err := Read(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that was named must be there")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("registries: {mirrors: {docker.io: [http://127.0.0.1:5000]}}")
	f.Add("address-pools: [{base: 10.201.0.0/16, size: 26}]\ndns: [::1]")
	f.Fuzz(func(t *testing.T, text string) {
		Parse("c.yaml", []byte(text)) //nolint:errcheck // it must not panic
	})
}
