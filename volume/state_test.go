package volume

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stackrun/stack/internal/errdefs"
)

// FuzzRecord: whatever lies where the record of a volume was, that volume is listed, with a problem unless the record is one, and can be
// removed; and no other is the worse for it. Only a record of another version is nobody's to touch.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"version":1,"config":{"ID":"data","Driver":"local"},"createdAt":"2026-01-02T03:04:05Z"}`))
	f.Add([]byte(`{"version":1,"config":{"ID":"data","Driver":"other"}}`))
	f.Add([]byte(`{"version":1,"config":{"ID":"data","DriverOpts":{"type":"nfs","o":"addr=x"}},"createdAt":"2026-01-02T03:04:05Z"}`))
	f.Add([]byte(`{"version":1,"config":{"ID":"data","DriverOpts":{"type":"none","o":"bind","device":"/"}}}`))
	f.Add([]byte(`{"version":1,"config":{"ID":"../data"}}`))
	f.Add([]byte(`{"version":2,"config":{"ID":"data"}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, root := newDriver(t)
		for _, id := range []string{"data", "other"} {
			if _, err := d.Create(t.Context(), Config{ID: id}); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(root, "data", recordFile), text, 0o600); err != nil {
			t.Fatal(err)
		}
		all, err := d.List(t.Context())
		var said record
		if errors.Is(err, errdefs.ErrNotSupported) && json.Unmarshal(text, &said) == nil && said.Version != recordVersion {
			return
		}
		if err != nil || len(all) != 2 || all[0].Config.ID != "data" || all[1].Problem != "" {
			t.Fatalf("%q: %+v, %v", text, all, err)
		}
		if _, err := parseOptions(all[0].Config); err != nil && all[0].Problem == "" {
			t.Errorf("%q: no problem, and %v", text, err)
		}
		if err := d.Delete(t.Context(), "data"); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}
