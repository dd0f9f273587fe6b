package standalone

import (
	"strings"
	"testing"

	"github.com/stackrun/stack/reconcile/plan"
)

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	r := &Record{ID: "1", Name: "web", Spec: plan.Spec{Image: "app"}, Stopped: "boot", Removing: &Removal{Volumes: true}, Traits: Traits{Labels: map[string]string{"a": "b"}, AutoRemove: true}}
	raw, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(raw)
	if err != nil || got.Name != "web" || got.Spec.Image != "app" || got.Stopped != "boot" || !got.Removing.Volumes || got.Traits.Labels["a"] != "b" || !got.Traits.AutoRemove {
		t.Errorf("%+v, %v", got, err)
	}
	for text, want := range map[string]string{
		`{"standalone":2,"record":{"id":"1","name":"x"}}`: "another program", `{}`: "no record", `{"standalone":1}`: "no record", `x`: "invalid", `{"standalone":1,"record":{"id":"1"}}`: "no record",
	} {
		if _, err := Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %q", text, err, want)
		}
	}
}

// TestWhatComesUpAfterABoot is the table of ADR 68.
func TestWhatComesUpAfterABoot(t *testing.T) {
	for _, c := range []struct {
		policy, stopped string
		end             *End
		want            bool
	}{
		{"always", "", &End{0}, true},
		{"always", "before", &End{0}, true},
		{"always", "now", &End{0}, false},
		{"always", "", nil, false},
		{"unless-stopped", "", &End{0}, true},
		{"unless-stopped", "before", &End{0}, false},
		{"on-failure", "", &End{1}, true},
		{"on-failure", "", &End{0}, false},
		{"on-failure", "before", &End{143}, false},
		{"", "", &End{1}, false},
	} {
		r := Record{Spec: plan.Spec{Restart: plan.RestartPolicy{Name: c.policy}}, Stopped: c.stopped}
		if got := r.AfterBoot("now", c.end); got != c.want {
			t.Errorf("%q stopped in %q, ended %v: %v", c.policy, c.stopped, c.end, got)
		}
	}
}

func TestNames(t *testing.T) {
	for attempt := range 3 {
		if name := NewName(attempt); CheckName(name) != nil || strings.Count(name, "_") != 1 {
			t.Errorf("made up %q", name)
		}
	}
	for name, ok := range map[string]bool{"a1": true, "A.b-c_d": true, "a": false, "": false, "-ab": false, "a/b": false, "a b": false, ".x": false, "aé": false} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}
