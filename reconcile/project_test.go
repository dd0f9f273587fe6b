package reconcile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/reconcile"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/spec"
)

// FuzzProject: a project comes as the body of a request, and may be written by somebody who did not load it. Whatever is in it, it is planned or
// refused, and planning does nothing.
func FuzzProject(f *testing.F) {
	host := fake.New()
	for _, ref := range []string{"app:1", "app:2"} {
		host.AddImage(ref, v1.Config{Cmd: []string{"serve"}})
	}
	dir := f.TempDir()
	e, err := reconcile.New(f.Context(), host.Set(), reconcile.Options{Roots: roots.Roots{State: dir + "/s", Run: dir + "/r"}, Store: &fake.Store{}, Version: "1"})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { e.Close(context.Background()) })
	for _, p := range []*spec.Project{everyKind("one"), withBuild("two"), project(rolling(2, "1"))} {
		raw, err := json.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	for _, body := range []string{
		`{"Name":"a"}`,
		`{"Name":"a","Services":{"b":{"Name":"b","Image":"app:1","PID":"service:c"},"c":{"Name":"c","Image":"app:1","PID":"service:b"}}}`,
		`{"Name":"a","Services":{"b":{"Name":"b","Image":"app:1","Replicas":2,"NetworkMode":"service:nobody","Networks":{"x":null}}}}`,
		`{"Name":"a","Services":{"b":{"Name":"b","DependsOn":{"b":{},"d":{}}}},"Models":{"m":null}}`,
		`{"Name":"a","Services":{"b":{"Name":"b","Image":"app:1","Networks":{"n":{}},"Ports":[{"Target":70000}]}},"Networks":{"n":{"IPAM":[{"Subnet":"x"}]}}}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p := new(spec.Project)
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		// What api/server asks of a body before the engine sees it.
		if d.Decode(p) != nil || spec.CheckProjectName(p.Name) != nil || spec.CheckNames(p) != nil || spec.CheckSharedPIDs(p) != nil {
			return
		}
		for _, s := range p.Services {
			s.Replicas = min(s.Replicas, 10)
		}
		if _, err := e.Plan(t.Context(), p, ask.UpOptions{}); err != nil && err.Error() == "" {
			t.Errorf("%s: refused without a word", body)
		}
		if ops := host.Ops(); len(ops) > 0 {
			t.Errorf("%s: did %v", body, ops)
		}
	})
}
