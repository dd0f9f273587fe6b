package selection

import (
	"fmt"
	"slices"

	"github.com/stackrun/stack/reconcile/ask"
)

// Replica finds a service's container: number index, or the first.
func Replica(all []ask.Container, service string, index int) (ask.Container, error) {
	var of []ask.Container
	for _, c := range all {
		if c.Service == service && !c.OneOff && (index == 0 || c.Replica == index) {
			of = append(of, c)
		}
	}
	if len(of) == 0 {
		if index != 0 {
			return ask.Container{}, fmt.Errorf("service %q has no container with number %d", service, index)
		}
		return ask.Container{}, fmt.Errorf("service %q has no container (start it with `stack up -d %s`)", service, service)
	}
	return slices.MinFunc(of, func(a, b ask.Container) int { return a.Replica - b.Replica }), nil
}
