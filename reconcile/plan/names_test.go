package plan

import (
	"slices"
	"strings"
	"testing"

	"github.com/stackrun/stack/spec/diag"
)

// TestNoTwoOfOneName: nothing is planned that makes a container under the name of one that stays, and it is said how the name gets free.
func TestNoTwoOfOneName(t *testing.T) {
	named := func(service, name string) *Service {
		s := svc(service, nil)
		s.ContainerName = name
		return s
	}
	was := func() *Observed { return made(want(named("data", "the-db"))) }
	others := func(name, project string) *Observed {
		h := made(want())
		h.Names = map[string]Holder{name: {ID: "other-id", Project: project}}
		return h
	}
	for _, tt := range []struct {
		name string
		d    *Desired
		h    *Observed
		o    Options
		hint string // "" = it is planned
	}{
		{"the service was renamed", want(named("db", "the-db")), was(), Options{}, "--remove-orphans"},
		{"and its orphan goes", want(named("db", "the-db")), was(), Options{RemoveOrphans: true}, ""},
		{"and nobody is to be warned of it", want(named("db", "the-db")), was(), Options{IgnoreOrphans: true}, "--remove-orphans"},
		{"the service is of another profile", func() *Desired { d := want(named("db", "the-db")); d.Known = []string{"data"}; return d }(), was(), Options{RemoveOrphans: true}, "stack rm --stop --force data"},
		{"the name went over", want(named("db", "the-db"), named("data", "old-db")), was(), Options{}, ""},
		{"the name went over and one is asked for", want(named("db", "the-db"), named("data", "old-db")), was(), Options{Services: []string{"db"}}, "bring up data too"},
		{"the name went over and nothing is recreated", want(named("db", "the-db"), named("data", "old-db")), was(), Options{NoRecreate: true}, "leave --no-recreate out"},
		{"two have changed names", want(named("a", "one"), named("b", "two")), made(want(named("a", "two"), named("b", "one"))), Options{}, ""},
		{"a command has it", want(named("db", "the-db")), func() *Observed { h := was(); h.Containers[0].Service, h.Containers[0].OneOff = "db", true; return h }(), Options{RemoveOrphans: true}, "remove that container"},
		{"it is recreated", want(named("data", "the-db")), was(), Options{ForceRecreate: true}, ""},
		{"a name that the file does not say", want(svc("db", nil)), made(want(named("data", "shop-db-1"))), Options{}, "--remove-orphans"},
		{"another project has it", want(named("db", "the-db")), others("the-db", "mall"), Options{RemoveOrphans: true}, "`stack --project-name mall down`"},
		{"one of no file has it", want(named("db", "the-db")), others("the-db", ""), Options{RemoveOrphans: true}, "`docker rm --force the-db`"},
		{"another project has another", want(named("db", "the-db")), others("a-db", "mall"), Options{}, ""},
		{"what differs is only told", want(named("db", "the-db")), was(), Options{OwnOnly: true}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, diags := Build(tt.d, tt.h, tt.o)
			i := slices.IndexFunc(diags, func(d *diag.Diagnostic) bool { return d.Severity == diag.Error })
			switch {
			case tt.hint == "" && i >= 0:
				t.Errorf("it is refused: %v", diags[i])
			case tt.hint != "" && (i < 0 || p != nil || diags[i].Code != "name-taken" || !strings.Contains(diags[i].Hint, tt.hint)):
				t.Errorf("got %v, expected a refusal with %q", diags, tt.hint)
			}
		})
	}
}

// TestANameIsFreedFirst: the container that takes an orphan's name over is not made before that has gone.
func TestANameIsFreedFirst(t *testing.T) {
	renamed := svc("db", nil)
	renamed.ContainerName = "the-db"
	before := svc("data", nil)
	before.ContainerName = "the-db"
	p, diags := Build(want(renamed), made(want(before)), Options{RemoveOrphans: true})
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	create := slices.IndexFunc(p.Steps, func(s Step) bool { _, ok := s.Op.(CreateContainer); return ok })
	remove := slices.IndexFunc(p.Steps, func(s Step) bool { _, ok := s.Op.(DeleteContainer); return ok })
	if create < 0 || remove < 0 || !slices.Contains(p.Steps[create].Needs, p.Steps[remove].ID) {
		t.Errorf("got\n%s", p)
	}
}
