package main

import (
	"math"
	"slices"
)

// sample is what one engine took for one row, in the row's unit; empty = it could not.
type sample struct {
	values []float64
}

func (s *sample) add(v float64) { s.values = append(s.values, v) }

// median of the values; NaN when there are none.
func (s *sample) median() float64 {
	if len(s.values) == 0 {
		return math.NaN()
	}
	v := slices.Sorted(slices.Values(s.values))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
