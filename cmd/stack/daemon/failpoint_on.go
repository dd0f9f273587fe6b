//go:build failpoint

package daemon

import (
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/driver/crash"
)

// withFailpoints lets a test kill the daemon around every call of a driver.
func withFailpoints(s driver.Set) driver.Set { return crash.Wrap(s) }
