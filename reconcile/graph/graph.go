// Package graph is a directed acyclic graph over any comparable key. It knows nothing of containers:
// plan and apply bring the meaning. Everything it returns is in a stable order, so that what is
// built on it is too. It imports no os, net, context and no clock.
package graph

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Graph holds nodes and edges "from needs to". The zero value is not usable; see New.
type Graph[K comparable] struct {
	compare func(a, b K) int
	needs   map[K]map[K]bool
	users   map[K]map[K]bool
}

// New returns an empty graph whose results are ordered by compare.
func New[K comparable](compare func(a, b K) int) *Graph[K] {
	return &Graph[K]{compare: compare, needs: map[K]map[K]bool{}, users: map[K]map[K]bool{}}
}

// Add puts k into the graph. Adding it twice is one node.
func (g *Graph[K]) Add(k K) {
	if g.needs[k] == nil {
		g.needs[k] = map[K]bool{}
		g.users[k] = map[K]bool{}
	}
}

// Connect says that from needs to. Both become nodes.
func (g *Graph[K]) Connect(from, to K) {
	g.Add(from)
	g.Add(to)
	g.needs[from][to] = true
	g.users[to][from] = true
}

// Nodes are all nodes, sorted.
func (g *Graph[K]) Nodes() []K { return slices.SortedFunc(maps.Keys(g.needs), g.compare) }

// Needs are the nodes that k needs directly, sorted.
func (g *Graph[K]) Needs(k K) []K { return slices.SortedFunc(maps.Keys(g.needs[k]), g.compare) }

// Users are the nodes that need k directly, sorted.
func (g *Graph[K]) Users(k K) []K { return slices.SortedFunc(maps.Keys(g.users[k]), g.compare) }

// Order lists every node after all that it needs; among the free ones the smallest comes first.
// With a cycle it returns a *CycleError.
func (g *Graph[K]) Order() ([]K, error) {
	missing := make(map[K]int, len(g.needs))
	var ready []K
	for k, needs := range g.needs {
		if missing[k] = len(needs); len(needs) == 0 {
			ready = append(ready, k)
		}
	}
	slices.SortFunc(ready, g.compare)

	order := make([]K, 0, len(g.needs))
	for len(ready) > 0 {
		k := ready[0]
		ready = ready[1:]
		order = append(order, k)
		for u := range g.users[k] {
			if missing[u]--; missing[u] == 0 {
				at, _ := slices.BinarySearchFunc(ready, u, g.compare)
				ready = slices.Insert(ready, at, u)
			}
		}
	}
	if len(order) < len(g.needs) {
		return nil, &CycleError[K]{Path: g.cycle()}
	}
	return order, nil
}

// Closure is roots and everything that they need, directly or not, sorted.
func (g *Graph[K]) Closure(roots ...K) []K {
	seen := map[K]bool{}
	stack := slices.Clone(roots)
	for len(stack) > 0 {
		k := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[k] || g.needs[k] == nil { // no node of the graph
			continue
		}
		seen[k] = true
		stack = slices.AppendSeq(stack, maps.Keys(g.needs[k]))
	}
	return slices.SortedFunc(maps.Keys(seen), g.compare)
}

// cycle finds one cycle, starting at its smallest node. Precondition: there is one.
func (g *Graph[K]) cycle() []K {
	const visiting, done = 1, 2
	state := map[K]int{}
	var path, found []K
	var visit func(k K) bool
	visit = func(k K) bool {
		state[k] = visiting
		path = append(path, k)
		for _, n := range g.Needs(k) {
			switch state[n] {
			case visiting:
				found = append(slices.Clone(path[slices.Index(path, n):]), n)
				return true
			case 0:
				if visit(n) {
					return true
				}
			}
		}
		path = path[:len(path)-1]
		state[k] = done
		return false
	}
	for _, k := range g.Nodes() {
		if state[k] == 0 && visit(k) {
			break
		}
	}
	return found
}

// CycleError names the nodes of one cycle; the first is repeated at the end.
type CycleError[K comparable] struct{ Path []K }

func (e *CycleError[K]) Error() string {
	names := make([]string, len(e.Path))
	for i, k := range e.Path {
		names[i] = fmt.Sprint(k)
	}
	return "cycle: " + strings.Join(names, " -> ")
}
