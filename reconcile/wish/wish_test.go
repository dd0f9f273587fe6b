package wish

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

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

func TestARecordComesBackAsItWas(t *testing.T) {
	r := New()
	apply(t, r, file("db", "web"), []string{"db", "web"}, map[string]int{"web": 3, "db": 1})
	r.BringUp([]string{"db", "web"}, map[plan.ID]bool{plan.Container("web", 2): true})
	r.Owed[plan.Container("db", 1)] = true
	r.Pass = &Pass{Verb: "up", Options: json.RawMessage(`{"NoDeps":true}`)}
	raw, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := got.File(); err != nil || p.Services["web"] == nil || !reflect.DeepEqual(got.Scale, map[string]int{"web": 3}) || !slices.Equal(got.Wanted(), []string{"db", "web"}) ||
		!got.Off[plan.Container("web", 2)] || !got.Owed[plan.Container("db", 1)] || got.Pass.Verb != "up" || got.Old {
		t.Errorf("got %+v", got)
	}
	if again, err := got.Encode(); err != nil || string(again) != string(raw) {
		t.Errorf("written again it is %s, %v", again, err)
	}
}

func TestAnOldRecordIsTheFile(t *testing.T) {
	raw, err := json.Marshal(file("web"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Decode(raw)
	if err != nil || !r.Old || len(r.Services) > 0 {
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
	if !slices.Equal(r.Wanted(), []string{"web"}) || r.Scale["web"] != 2 || !r.Off[web] {
		t.Errorf("after up web: %+v", r)
	}
	apply(t, r, both, []string{"db"}, nil)
	r.BringUp([]string{"db"}, map[plan.ID]bool{db: true})
	if len(r.Wanted()) != 2 || r.Scale["web"] != 2 || !r.Off[web] || !r.Off[db] {
		t.Errorf("an up of db changed web: %+v", r)
	}
	apply(t, r, both, []string{"db", "web"}, nil)
	r.BringUp([]string{"db", "web"}, nil)
	if len(r.Scale)+len(r.Off) > 0 {
		t.Errorf("after up: %+v", r)
	}
	r.Off[db] = true
	r.Drop("db")
	if !slices.Equal(r.Wanted(), []string{"web"}) || len(r.Off) > 0 {
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
