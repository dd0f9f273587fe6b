//go:build !failpoint

package main

import (
	"github.com/stackrun/stack/cmd/stack/launch"
)

// linkedDaemon is nil: the daemon is the program that this one carries.
func linkedDaemon() *launch.Linked { return nil }
