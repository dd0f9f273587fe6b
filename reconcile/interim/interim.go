// Package interim keeps what must be remembered of what is under way, for whoever carries it to its end: what rolling updates begin from, whose anonymous
// volumes wait for a successor, and which go with a container.
package interim

import "github.com/stackrun/stack/reconcile/driver"

// Book keeps them, in the store. Safe for concurrent use: what is of a project is the matter of who has its turn.
type Book struct{ store driver.Store }

// Open is what is in s.
func Open(s driver.Store) *Book { return &Book{s} }
