package unmount

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// closed are the names of what has been closed, in that order.
type closed struct {
	mu    sync.Mutex
	names []string
}

type closer struct {
	of   *closed
	name string
	hold chan struct{} // not nil: Close waits for it
}

func (c closer) Close() error {
	if c.hold != nil {
		<-c.hold
	}
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.of.names = append(c.of.names, c.name)
	return nil
}

// look is what has been closed when nothing is left that could be without time going on.
func (c *closed) look() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.names)
}

func (c *closed) expect(t *testing.T, when string, want ...string) {
	t.Helper()
	if got := c.look(); !slices.Equal(got, want) {
		t.Errorf("%s: closed are %q, expected %q", when, got, want)
	}
}

func (c *closed) later(q *Queue, id string) {
	q.Later(id, closer{of: c, name: "namespace " + id}, closer{of: c, name: "root " + id})
}

// TestRootsWaitForCompany: a namespace goes at once, a root when no other container has ended for a while, and then with the others.
func TestRootsWaitForCompany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q Queue
		var c closed
		c.later(&q, "a")
		c.expect(t, "after the first end", "namespace a")
		time.Sleep(usualWait - time.Millisecond)
		c.later(&q, "b")
		time.Sleep(usualWait - time.Millisecond)
		c.expect(t, "shortly after the second", "namespace a", "namespace b")
		if n := q.Unfinished(); n != 2 {
			t.Errorf("%d unfinished, expected 2", n)
		}
		time.Sleep(time.Millisecond)
		c.expect(t, "a while after it", "namespace a", "namespace b", "root a", "root b")
		if n := q.Unfinished(); n != 0 {
			t.Errorf("%d unfinished in the end", n)
		}
		c.later(&q, "c") // the worker had ended
		time.Sleep(usualWait)
		c.expect(t, "after the third", "namespace a", "namespace b", "root a", "root b", "namespace c", "root c")
	})
}

// TestNoRootWaitsForLong: others that end without a pause do not keep one, and neither do many.
func TestNoRootWaitsForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q Queue
		var c closed
		for n := range 20 {
			c.later(&q, fmt.Sprint(n))
			time.Sleep(longestWait / 20)
		}
		if got := c.look(); !slices.Contains(got, "root 0") || slices.Contains(got, "root 1") {
			t.Errorf("after %v closed are %q", longestWait, got)
		}
		q.Close()
		var many Queue
		for n := range company + 3 {
			c.later(&many, fmt.Sprint("of many ", n))
		}
		if synctest.Wait(); many.Unfinished() != company-1 {
			t.Errorf("of %d that end at once %d wait, expected %d", company+3, many.Unfinished(), company-1)
		}
		time.Sleep(longestWait)
	})
}

// TestAwait: who needs the directories of one need not wait for company, nor for others; and what is under way is waited for.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q Queue
		var c closed
		c.later(&q, "a")
		c.later(&q, "b")
		c.expect(t, "before Await", "namespace a", "namespace b")
		if err := q.Await(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		c.expect(t, "after Await", "namespace a", "namespace b", "root b")
		if err := q.Await(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		hold := make(chan struct{})
		q.Later("d", nil, closer{&c, "root d", hold})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := q.Await(ctx, "d"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("what is not unmounted yet: %v", err)
		}
		close(hold)
		if err := q.Await(t.Context(), "d"); err != nil {
			t.Error(err)
		}
		if got := c.look(); !slices.Contains(got, "root d") {
			t.Errorf("closed are %q", got)
		}
	})
}

// TestClose: nothing is left then, and what comes later does not wait.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q Queue
		var c closed
		c.later(&q, "a")
		c.later(&q, "b")
		q.Close()
		if got := c.look(); len(got) != 4 || q.Unfinished() != 0 {
			t.Errorf("closed are %q, %d unfinished", got, q.Unfinished())
		}
		c.later(&q, "c")
		if got := c.look(); len(got) != 6 {
			t.Errorf("after the end closed are %q", got)
		}
	})
}
