package plan

import (
	"slices"
	"testing"
)

// TestLeftSuccessorGoesWithItsVolumes: a container that was made to replace another and has never run takes away the anonymous volumes that were made for it, and
// goes before its predecessor, which may have the same ones. One that has run keeps them, and so does one that replaces nobody.
func TestLeftSuccessorGoesWithItsVolumes(t *testing.T) {
	left := func(change func(old, new *ContainerState)) *Observed {
		return successor(numbered(rolling(1)), other(rolling(1)), 1, func(old, new *ContainerState) {
			new.Status = StatusCreated
			change(old, new)
		})
	}
	anew := func(d *Desired) *Desired {
		d.Services["web"].Update = nil
		return d
	}
	for _, tt := range []struct {
		name    string
		d       *Desired
		h       *Observed
		o       Options
		volumes bool // of the successor
		both    bool // go
	}{
		{"the file went back", rolling(1), left(func(old, new *ContainerState) {}), Options{}, true, false},
		{"it goes on", anew(other(rolling(1))), left(func(old, new *ContainerState) {}), Options{}, true, true},
		{"it goes on with new volumes", anew(other(rolling(1))), left(func(old, new *ContainerState) {}), Options{RenewAnon: true}, true, true},
		{"the predecessor was stopped", anew(other(rolling(1))), left(func(old, new *ContainerState) { old.Status = StatusExited }), Options{}, true, true},
		{"it has run", rolling(1), left(func(old, new *ContainerState) { new.Status = StatusExited }), Options{}, false, false},
		{"it runs", rolling(1), left(func(old, new *ContainerState) { new.Status = StatusRunning }), Options{}, false, false},
		{"it replaces nobody", rolling(1), left(func(old, new *ContainerState) { new.Succeeds = "" }), Options{}, false, false},
		{"none is wanted", rolling(0), left(func(old, new *ContainerState) {}), Options{}, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, diags := Build(tt.d, tt.h, tt.o)
			if err := diags.Err(); err != nil {
				t.Fatal(err)
			}
			removal := func(id string) int {
				return slices.IndexFunc(p.Steps, func(s Step) bool { op, ok := s.Op.(DeleteContainer); return ok && op.ContainerID == id })
			}
			old, new := removal("old1"), removal("new1")
			if new < 0 || old >= 0 != tt.both {
				t.Fatalf("got\n%s", p)
			}
			if got := p.Steps[new].Op.(DeleteContainer).Volumes; got != tt.volumes {
				t.Errorf("its volumes go: %t, expected %t", got, tt.volumes)
			}
			if tt.volumes && tt.both && !slices.Contains(slices.Concat(p.Steps[old].After, p.Steps[old].Needs), p.Steps[new].ID) {
				t.Errorf("its predecessor does not wait for it:\n%s", p)
			}
		})
	}
}
