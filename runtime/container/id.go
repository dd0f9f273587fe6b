package container

import (
	"fmt"

	"github.com/stackrun/stack/internal/errdefs"
)

// CheckID keeps an id from leaving the directories it names: ids come from the API too. ErrInvalidArgument for one that is none.
func CheckID(id string) error {
	ok := len(id) > 0 && len(id) <= 128
	for _, c := range id {
		ok = ok && (c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_')
	}
	if !ok {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot use %q as a container id: want letters, digits, - and _", id))
	}
	return nil
}

// NotFound is the ErrNotFound of who asks for a container that is not there.
func NotFound(id string) error {
	return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("no container %.12s", id))
}
