package single

import (
	"errors"
	"testing"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/plan"
)

// TestCompatible: of the two ways to bound processor time a container has one.
func TestCompatible(t *testing.T) {
	for _, c := range []struct {
		have, more plan.Resources
		ok         bool
	}{
		{plan.Resources{CPUs: 1}, plan.Resources{CPUs: 2}, true},
		{plan.Resources{CPUQuota: 1000}, plan.Resources{CPUQuota: 2000, CPUPeriod: 5000}, true},
		{plan.Resources{CPUQuota: 1000}, plan.Resources{Memory: 1 << 30}, true},
		{plan.Resources{CPUs: 1}, plan.Resources{Memory: 1 << 30}, true},
		{plan.Resources{CPUQuota: 1000}, plan.Resources{CPUs: 2}, false},
		{plan.Resources{CPUPeriod: 1000}, plan.Resources{CPUs: 2}, false},
		{plan.Resources{CPUs: 1}, plan.Resources{CPUQuota: 1000}, false},
		{plan.Resources{CPUs: 1}, plan.Resources{CPUPeriod: 1000}, false},
	} {
		if err := compatible(c.have, c.more); (err == nil) != c.ok || err != nil && !errors.Is(err, errdefs.ErrConflict) {
			t.Errorf("%+v where %+v is: %v", c.more, c.have, err)
		}
	}
}
