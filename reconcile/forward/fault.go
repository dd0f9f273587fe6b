package forward

import (
	"fmt"
	"runtime/debug"
)

// fault is a panic of a feed: what a line, or a receiver, has made of this program. The feed fails of it as of a receiver that is away; the others, and the daemon, go on.
type fault struct {
	what  any
	stack []byte
}

func (e *fault) Error() string {
	return fmt.Sprintf("the daemon failed in its own code: %v (its log has the details)", e.what)
}

// guard is do, whose panic is its error.
func guard(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &fault{p, debug.Stack()}
		}
	}()
	return do()
}
