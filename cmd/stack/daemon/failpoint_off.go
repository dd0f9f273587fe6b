//go:build !failpoint

package daemon

import "github.com/stackrun/stack/reconcile/driver"

// withFailpoints is s as it is: only a binary for tests has failpoints.
func withFailpoints(s driver.Set) driver.Set { return s }
