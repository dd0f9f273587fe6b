//go:build !failpoint

package failpoint

// Enabled says whether this binary has failpoints.
const Enabled = false

// Hit does nothing in this binary.
func Hit(string) {}
