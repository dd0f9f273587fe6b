package lazyregexp

import (
	"fmt"
	"sync"
	"testing"
)

func TestRegexp(t *testing.T) {
	r := New(`a(b+)`)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if !r.MatchString("xabb") || r.MatchString("x") {
				t.Error("does not match as it should")
			}
		})
	}
	wg.Wait()
	got := fmt.Sprintln(r.FindString("xab"), r.FindStringSubmatch("xabb"), r.FindStringSubmatchIndex("xabb"),
		r.ReplaceAllString("xab", "$1"), r.ReplaceAllStringFunc("ab", func(s string) string { return s + s }))
	if want := "ab [abb bb] [1 4 2 4] xb abab\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestFaultyExpressionPanicsAtItsUse(t *testing.T) {
	r := New(`(`)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	r.MatchString("")
}
