package unmount

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// TestNoRootWaitsForLong: others that end without a pause do not keep one, and neither do many: all go then that have come, and those that come meanwhile wait for their own.
func TestNoRootWaitsForLong(t *testing.T) {
	roots := func(c *closed) (names []string) {
		for _, name := range c.look() {
			if name, is := strings.CutPrefix(name, "root "); is {
				names = append(names, name)
			}
		}
		return names
	}
	synctest.Test(t, func(t *testing.T) {
		var q Queue
		var c closed
		const n = 20
		for i := range n {
			if c.later(&q, fmt.Sprint(i)); i < n-1 && len(roots(&c)) > 0 {
				t.Fatalf("after %d closed are the roots %q", i+1, roots(&c))
			}
			time.Sleep(longestWait / n)
		}
		if got := roots(&c); len(got) != n {
			t.Errorf("after %v closed are the roots %q", longestWait, got)
		}

		var many Queue
		for i := range company {
			if got := len(roots(&c)); got != n {
				t.Fatalf("with %d that wait %d roots are closed", i, got-n)
			}
			c.later(&many, fmt.Sprint("of many ", i))
		}
		c.later(&many, "one more")
		if got := len(roots(&c)) - n; got != company && got != company+1 {
			t.Errorf("of %d that end at once %d roots are closed", company+1, got)
		}
		time.Sleep(longestWait)
	})
}

// TestNoNamespaceWaits: not for the disk, nor for another that hangs.
func TestNoNamespaceWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q Queue
		var c closed
		hold := make(chan struct{})
		q.Later("a", closer{&c, "namespace a", hold}, closer{of: &c, name: "root a"})
		q.Later("b", nil, closer{&c, "root b", hold})
		time.Sleep(longestWait)
		c.later(&q, "c")
		c.expect(t, "while others hang", "namespace c")
		close(hold)
		q.Close()
		if got := c.look(); len(got) != 5 || slices.Index(got, "namespace a") > slices.Index(got, "root a") {
			t.Errorf("in the end closed are %q", got)
		}
	})
}

// TestAwait: who needs the directories of one need not wait for company, nor for others; and what is under way is waited for.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q Queue
		var c closed
		c.later(&q, "a")
		synctest.Wait()
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
