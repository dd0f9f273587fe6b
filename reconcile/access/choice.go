package access

import (
	"fmt"

	"github.com/stackrun/stack/reconcile/inventory"
)

// choice says which containers of a service are meant.
type choice struct {
	service   string
	index     int    // which replica; 0 = any
	container string // id of one; "" = any. While a container is made anew there are two of one index
	oneOffs   bool   // those of run too
}

// has says whether c, a container of the service, is meant. Those of run have no index.
func (w choice) has(c *inventory.Container) bool {
	return (w.index == 0 || c.OneOff || c.Number == w.index) && (w.container == "" || c.ID == w.container)
}

func (w choice) String() string {
	if w.index != 0 {
		return fmt.Sprintf("service %q with index %d", w.service, w.index)
	}
	return fmt.Sprintf("service %q", w.service)
}
