package wish

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
)

func file(services ...string) *spec.Project {
	p := &spec.Project{Name: "shop", Services: map[string]*spec.Service{}}
	for _, s := range services {
		p.Services[s] = &spec.Service{Name: s, Replicas: 1}
	}
	return p
}

func apply(t *testing.T, r *Record, p *spec.Project, services []string, scale map[string]int) {
	t.Helper()
	if err := r.Apply(p, services, scale); err != nil {
		t.Fatal(err)
	}
}

var began = time.Date(2026, 7, 1, 10, 0, 0, 5, time.UTC)

func TestARecordComesBackAsItWas(t *testing.T) {
	r := New()
	apply(t, r, file("db", "web"), []string{"db", "web"}, map[string]int{"web": 3, "db": 1})
	r.BringUp([]string{"db", "web"}, map[plan.ID]bool{plan.Container("web", 2): true})
	r.Owe(plan.Debts{plan.Container("db", 1): {Run: began}})
	r.Pass = &Pass{Verb: "up", Options: json.RawMessage(`{"NoDeps":true}`), Starts: plan.Debts{plan.Container("new", 1): {}, plan.Container("db", 1): {Run: began}}}
	raw, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := got.File(); err != nil || p.Services["web"] == nil || !reflect.DeepEqual(got.Scale, map[string]int{"web": 3}) || !slices.Equal(got.Wanted(), []string{"db", "web"}) ||
		!got.off[plan.Container("web", 2)] || !got.Owed()[plan.Container("db", 1)].Run.Equal(began) || got.Pass.Verb != "up" || !maps.Equal(got.Pass.Starts, r.Pass.Starts) || got.Old {
		t.Errorf("got %+v", got)
	}
	if again, err := got.Encode(); err != nil || string(again) != string(raw) {
		t.Errorf("written again it is %s, %v", again, err)
	}
}

// TestDebtsOfOldRecords: what they owe is owed whatever has run since; the runs are in what new ones say beside the names.
func TestDebtsOfOldRecords(t *testing.T) {
	db, web, later := plan.Container("db", 1), plan.Container("web", 1), began.Add(time.Second)
	for name, tt := range map[string]struct {
		raw      string
		due, now bool // before and after a start
	}{
		"old":        {`{"wish":1,"file":{},"owed":["db/1"]}`, true, true},
		"with a run": {`{"wish":1,"file":{},"owed":["db/1"],"owedRuns":{"db/1":"2026-07-01T10:00:00.000000005Z"}}`, true, false},
		"nothing":    {`{"wish":1,"file":{}}`, false, false},
	} {
		r, err := Decode([]byte(tt.raw))
		if err != nil {
			t.Fatal(err)
		}
		if due, now := r.Owed().Due(db, began), r.Owed().Due(db, later); due != tt.due || now != tt.now {
			t.Errorf("%s: due before a start: %v, after it: %v", name, due, now)
		}
		if r.Owed().Due(web, began) {
			t.Errorf("%s: web is owed a start", name)
		}
		if raw, err := r.Encode(); err != nil || string(raw) != tt.raw {
			t.Errorf("%s: written again it is %s, %v", name, raw, err)
		}
	}
	if _, err := Decode([]byte(`{"wish":1,"file":{},"pass":{"verb":"up","starts":{"db":"2026-07-01T10:00:00Z"}}}`)); err == nil {
		t.Error("a container without a number is taken")
	}
}

// TestRenew: a run that has followed the one of a promise, and is stopped for it, takes its place. Of another container of that number nothing is known.
func TestRenew(t *testing.T) {
	db, later := plan.Container("db", 1), began.Add(time.Second)
	r := New()
	r.Owe(plan.Debts{db: {Run: began}})
	r.Pass = &Pass{Verb: "restart", Starts: plan.Debts{db: {Run: began}}}
	shared := r.clone()
	r.Renew(db, later, later.Add(time.Second))
	if !r.Owed().Due(db, began) {
		t.Error("another run than that of the promise changes it")
	}
	r.Renew(db, began, later)
	for name, debts := range map[string]plan.Debts{"owed": r.Owed(), "pass": r.Pass.Starts} {
		if !debts.Due(db, later) || debts.Due(db, began) {
			t.Errorf("%s: %v", name, debts)
		}
	}
	if !shared.Owed().Due(db, began) || !shared.Pass.Starts.Due(db, began) {
		t.Error("a copy has changed with it")
	}
	if got := r.Latest(plan.Debts{db: {Run: began}, plan.Container("web", 1): {Run: began}}); len(got) != 2 || !got[db].Run.Equal(later) {
		t.Errorf("latest: %v", got)
	}
}

func TestAnOldRecordIsTheFile(t *testing.T) {
	raw, err := json.Marshal(file("web"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Decode(raw)
	if err != nil || !r.Old || len(r.services) > 0 {
		t.Fatalf("got %+v, %v", r, err)
	}
	if p, err := r.File(); err != nil || p.Name != "shop" || p.Services["web"] == nil {
		t.Errorf("its file is %+v, %v", p, err)
	}
}

func TestDamagedRecordsAreRefused(t *testing.T) {
	for _, raw := range []string{``, `[]`, `{"wish":1}`, `{"wish":2,"file":{}}`, `{"wish":1,"file":{},"off":["web"]}`} {
		if r, err := Decode([]byte(raw)); err == nil {
			t.Errorf("%s is read as %+v", raw, r)
		}
	}
}

func TestUpsAndDownsAddUp(t *testing.T) {
	web, db := plan.Container("web", 1), plan.Container("db", 1)
	r, both := New(), file("db", "web")
	apply(t, r, both, []string{"web"}, map[string]int{"web": 2})
	r.BringUp([]string{"web"}, map[plan.ID]bool{web: true})
	if !slices.Equal(r.Wanted(), []string{"web"}) || r.Scale["web"] != 2 || !r.off[web] {
		t.Errorf("after up web: %+v", r)
	}
	apply(t, r, both, []string{"db"}, nil)
	r.BringUp([]string{"db"}, map[plan.ID]bool{db: true})
	if len(r.Wanted()) != 2 || r.Scale["web"] != 2 || !r.off[web] || !r.off[db] {
		t.Errorf("an up of db changed web: %+v", r)
	}
	apply(t, r, both, []string{"db", "web"}, nil)
	r.BringUp([]string{"db", "web"}, nil)
	if len(r.Scale)+len(r.off) > 0 {
		t.Errorf("after up: %+v", r)
	}
	r.off[db] = true
	r.Drop("db")
	if !slices.Equal(r.Wanted(), []string{"web"}) || len(r.off) > 0 {
		t.Errorf("after down db: %+v", r)
	}
	apply(t, r, file("other"), []string{"other"}, nil)
	if len(r.Wanted()) > 0 {
		t.Errorf("a service that is in no file is wished for: %+v", r)
	}
}

// FuzzDecode: whatever is in the store, reading it ends in a record or an error.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"wish":1,"file":{"Name":"a"},"off":["web/1"],"services":["web"]}`, `{"Name":"a"}`, `{"wish":9}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := Decode(raw)
		if err != nil {
			return
		}
		if _, err := r.Encode(); err != nil {
			t.Errorf("what was read cannot be written: %v", err)
		}
	})
}
