package fake

import (
	"errors"
	"sync/atomic"
)

// ErrCut is what every operation of a host says after a Cut: nothing that a dead daemon asks for happens.
var ErrCut = errors.New("the daemon is killed")

// Cut is the death of a daemon between two operations of its host. It is safe for concurrent use; of a host that has none it never comes.
type Cut struct {
	left atomic.Int64 // operations until then; 0 = it is not armed
	died atomic.Bool
}

// At arms c: the daemon dies at the n-th operation from here on. Before and after an operation count as two.
func (c *Cut) At(n int) { c.left.Store(int64(n)) }

// Died says whether the daemon is dead.
func (c *Cut) Died() bool { return c != nil && c.died.Load() }

// Over is the next daemon's beginning: c is not armed any more.
func (c *Cut) Over() {
	c.left.Store(0)
	c.died.Store(false)
}

func (c *Cut) hit() error {
	if c == nil {
		return nil
	}
	if c.left.Load() > 0 && c.left.Add(-1) == 0 {
		c.died.Store(true)
	}
	if c.Died() {
		return ErrCut
	}
	return nil
}
