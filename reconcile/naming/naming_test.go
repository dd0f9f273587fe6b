package naming

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/reconcile/gate"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/roster"
	"github.com/stackrun/stack/runtime"
)

// desk is names on a host in memory.
type desk struct {
	*testing.T
	host   *fake.Host
	roster *roster.Roster
	names  *Names
}

func newDesk(t *testing.T) *desk {
	d := &desk{T: t, host: fake.New(), roster: roster.New()}
	d.names = New(d.host.Set(), d.roster, new(gate.Gate))
	return d
}

// make makes a container of project that is called name.
func (d *desk) make(id, project, name string) {
	d.Helper()
	id = strings.Repeat(id, 64)
	s, err := d.host.Set().Containers.Create(d.Context(), runtime.Config{
		ID: id, Labels: map[string]string{label.Project: project, label.Service: "web"}, Facts: map[string]string{bundle.FactName: name}, Spec: &specs.Spec{},
	})
	c, ours := inventory.Read(s)
	if err != nil || !ours {
		d.Fatalf("%s: ours %v, %v", name, ours, err)
	}
	d.roster.Add(c)
}

// TestHold: a name is refused to whom it is not, as long as somebody who has it is on the host.
func TestHold(t *testing.T) {
	d := newDesk(t)
	d.make("a", "shop", "thing")
	for _, tt := range []struct {
		name, besides string
		taken         bool
	}{
		{"thing", "", true}, {"thing", "other", true}, {"thing", "shop", false}, {"things", "", false},
	} {
		free, err := d.names.Hold(d.Context(), tt.name, tt.besides)
		if taken := (*TakenError)(nil); errors.As(err, &taken) != tt.taken || errors.Is(err, errdefs.ErrConflict) != tt.taken {
			t.Errorf("%s besides %q: %v", tt.name, tt.besides, err)
		} else if tt.taken && taken.By.Name != "thing" {
			t.Errorf("%s is the name of %s", tt.name, taken.By.Name)
		}
		if err == nil {
			free()
		}
	}
	d.host.RemoveContainer(strings.Repeat("a", 64)) // by other hands
	free, err := d.names.Hold(d.Context(), "thing", "")
	if err != nil {
		t.Fatalf("nobody has it any more: %v", err)
	}
	free()
}

// TestHoldKeepsOthersOut: who wants a name that is held waits, and looks when whoever held it has made a container.
func TestHoldKeepsOthersOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		free, err := d.names.Hold(t.Context(), "thing", "")
		if err != nil {
			t.Fatal(err)
		}
		second := make(chan error, 1)
		go func() {
			_, err := d.names.Hold(t.Context(), "thing", "")
			second <- err
		}()
		synctest.Wait()
		select {
		case err := <-second:
			t.Fatalf("two hold it: %v", err)
		default:
		}
		other, err := d.names.Hold(t.Context(), "another", "")
		if err != nil {
			t.Fatal(err)
		}
		other()
		d.make("a", "shop", "thing")
		free()
		if err := <-second; !errors.Is(err, errdefs.ErrConflict) {
			t.Errorf("it was free for the second: %v", err)
		}
	})
}
