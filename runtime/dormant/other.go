//go:build !amd64 && !arm64

package dormant

// Program is nil: there is none for this machine.
func Program() []byte { return nil }
