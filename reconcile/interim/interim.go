// Package interim keeps what must be remembered of work under way, so that the next daemon can finish it: the state
// from which rolling updates began, the anonymous volumes that wait for a successor of their container, and those
// that are removed with a container.
package interim

import "github.com/stackrun/stack/reconcile/driver"

// Book keeps them, in the store. Safe for concurrent use: what is of a project is the matter of who has its turn.
type Book struct{ store driver.Store }

// Open is what is in s.
func Open(s driver.Store) *Book { return &Book{s} }
