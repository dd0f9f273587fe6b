// Package cleanup undoes what was done when a function cannot finish: half-built objects are
// taken down in the reverse order of their making unless the maker says that they are whole.
//
//	undo := cleanup.Make(func() { os.RemoveAll(dir) })
//	defer undo.Clean()
//	…
//	undo.Add(func() { link.Delete() })
//	…
//	undo.Release() // whole: keep it
//	return nil
package cleanup

// Cleanup is a stack of undo functions. The zero value is empty and usable. It belongs to
// one goroutine.
type Cleanup struct{ undo []func() }

// Make starts a Cleanup with one or more functions; nil ones are left out.
func Make(fns ...func()) *Cleanup {
	c := new(Cleanup)
	for _, fn := range fns {
		c.Add(fn)
	}
	return c
}

// Add puts fn on top: Clean calls it before those that were added earlier.
func (c *Cleanup) Add(fn func()) {
	if fn != nil {
		c.undo = append(c.undo, fn)
	}
}

// Clean calls every function, latest first, and forgets them, so a second Clean does nothing.
// A function that panics does not keep the others from being called.
func (c *Cleanup) Clean() {
	if len(c.undo) == 0 {
		return
	}
	last := len(c.undo) - 1
	fn := c.undo[last]
	c.undo = c.undo[:last]
	defer c.Clean()
	fn()
}

// Release forgets every function without calling it and returns one that calls them, for a
// maker that hands the duty to its caller.
func (c *Cleanup) Release() (clean func()) {
	moved := &Cleanup{undo: c.undo}
	c.undo = nil
	return moved.Clean
}
