package graph

import (
	"cmp"
	"errors"
	"slices"
	"testing"
)

func build(edges ...[2]string) *Graph[string] {
	g := New(cmp.Compare[string])
	for _, e := range edges {
		g.Connect(e[0], e[1])
	}
	return g
}

func TestOrderPutsNeedsFirstAndIsStable(t *testing.T) {
	g := build([2]string{"web", "api"}, [2]string{"api", "db"}, [2]string{"api", "cache"}, [2]string{"worker", "db"})
	g.Add("alone")
	want := []string{"alone", "cache", "db", "api", "web", "worker"}
	for range 20 {
		got, err := g.Order()
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("got %v, %v; expected %v", got, err, want)
		}
	}
}

func TestOrderNamesTheCycle(t *testing.T) {
	g := build([2]string{"x", "a"}, [2]string{"a", "b"}, [2]string{"b", "c"}, [2]string{"c", "a"})
	_, err := g.Order()
	var cycle *CycleError[string]
	if !errors.As(err, &cycle) {
		t.Fatalf("expected a cycle but got %v", err)
	}
	if want := []string{"a", "b", "c", "a"}; !slices.Equal(cycle.Path, want) {
		t.Fatalf("got %v, expected %v", cycle.Path, want)
	}
	if err := build([2]string{"self", "self"}); err != nil {
		if _, e := err.Order(); e == nil || e.Error() != "cycle: self -> self" {
			t.Fatalf("self edge: %v", e)
		}
	}
}

func TestClosure(t *testing.T) {
	g := build([2]string{"web", "api"}, [2]string{"api", "db"}, [2]string{"worker", "db"})
	if got := g.Closure("api"); !slices.Equal(got, []string{"api", "db"}) {
		t.Error(got)
	}
	if got := g.Closure("nobody"); len(got) != 0 {
		t.Error(got)
	}
}
