package wish

import (
	"testing"

	"github.com/stackrun/stack/reconcile/plan"
)

// TestWhatACacheGivesIsTheCallers: whoever changes a record changes his own, also what it points to.
func TestWhatACacheGivesIsTheCallers(t *testing.T) {
	r := New()
	apply(t, r, file("web"), []string{"web"}, map[string]int{"web": 2})
	raw, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var c Cache
	for range 2 {
		r, err := c.Decode("shop", raw)
		if err != nil {
			t.Fatal(err)
		}
		if r.Scale["web"] != 2 || len(r.services)+len(r.off)+len(r.Owed()) > 0 || r.Pass != nil {
			t.Fatalf("it has %+v", r)
		}
		r.BringUp([]string{"web"}, map[plan.ID]bool{plan.Container("web", 1): true})
		r.Scale["web"], r.Pass = 5, &Pass{Verb: "up"}
		r.Owe(plan.Debts{plan.Container("web", 2): {}})
		if err := r.SetFile(file()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestACacheSaysWhatTheTextSays: one project's text changes, and each project has its own.
func TestACacheSaysWhatTheTextSays(t *testing.T) {
	var c Cache
	for _, services := range [][]string{{"web"}, {"db", "web"}, {"db"}} {
		r := New()
		apply(t, r, file(services...), nil, nil)
		raw, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		for _, project := range []string{"shop", "blog", "shop"} {
			if p, err := c.File(project, raw); err != nil || len(p.Services) != len(services) || p.Services[services[0]] == nil {
				t.Errorf("the file of %s has the services %v, %v; expected %v", project, p.Services, err, services)
			}
		}
	}
	if _, err := c.Decode("shop", []byte("{")); err == nil {
		t.Error("half a record can be read")
	}
}
