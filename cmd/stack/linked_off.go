//go:build !failpoint

package main

// linkedDaemon is nil: the daemon is the program that this one carries.
func linkedDaemon() *linked { return nil }
