package desire

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackrun/stack/spec"
)

// TestProvided: who depends on a provider gets what that has set, over what the file says; who uses a model, its name and where it answers.
func TestProvided(t *testing.T) {
	service := func(name string, deps ...string) *spec.Service {
		s := &spec.Service{Name: name, Image: "x", Replicas: 1, DependsOn: map[string]spec.Dependency{}}
		for _, d := range deps {
			s.DependsOn[d] = spec.Dependency{Condition: "service_started", Required: true}
		}
		return s
	}
	db, mute := service("my-db"), service("mute")
	db.Provider = &spec.Provider{Type: "cloud", Provided: &spec.Provided{Prefixed: map[string]string{"URL": "u"}, Raw: map[string]string{"REGION": "north", "UNSET": "now"}}}
	mute.Provider = &spec.Provider{Type: "cloud"}
	app, far := service("app", "my-db", "mute"), service("far", "app")
	app.Environment, app.Unset = map[string]string{"REGION": "south", "OWN": "o"}, []string{"UNSET", "OTHER"}
	app.Models = map[string]*spec.ModelUse{"small-one": nil, "big": {EndpointVar: "WHERE", ModelVar: "WHICH"}, "unknown": {}}
	far.Models = map[string]*spec.ModelUse{"big": {}}
	p := &spec.Project{Name: "shop", Services: map[string]*spec.Service{"my-db": db, "mute": mute, "app": app, "far": far},
		Models: map[string]*spec.Model{"small-one": {Model: "ai/small", Endpoint: "http://runner"}, "big": {Model: "ai/big"}}}
	d, diags := Of(p)
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	for name, want := range map[string]map[string]string{
		"app": {"MY-DB_URL": "u", "REGION": "north", "UNSET": "now", "OWN": "o", "SMALL_ONE_MODEL": "ai/small", "SMALL_ONE_URL": "http://runner", "WHICH": "ai/big"},
		"far": {"BIG_MODEL": "ai/big"},
	} {
		if diff := cmp.Diff(want, d.Services[name].Spec.Environment); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if diff := cmp.Diff([]string{"OTHER"}, d.Services["app"].Spec.Unset); diff != "" {
		t.Error(diff)
	}
	if s := d.Services["my-db"]; s.Replicas != 0 || s.Provider != "cloud" || s.Spec.Image != "" {
		t.Errorf("a service that is provided: %+v", s)
	}
	if !maps.Equal(app.Environment, map[string]string{"REGION": "south", "OWN": "o"}) {
		t.Errorf("the project is changed: %v", app.Environment)
	}
}
