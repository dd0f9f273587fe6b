// Package roots knows where one instance of stack keeps its things, and the
// short id that keeps several instances on one host apart.
package roots

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
)

const (
	DefaultState = "/var/lib/stack"
	DefaultRun   = "/run/stack"
)

// Roots are the two directories below which everything is. Both are absolute.
//
//	State survives a reboot: images, volumes, container upper layers, logs, the store.
//	Run does not: sockets, pid files, network namespaces, records of kernel objects.
type Roots struct{ State, Run string }

// Instance is 6 hex digits derived from State and Run. Names of bridges, nft tables and the cgroup
// parent carry it.
func (r Roots) Instance() string {
	sum := sha256.Sum256([]byte(r.State + "\x00" + r.Run))
	return hex.EncodeToString(sum[:3])
}

// Socket is where the daemon of r listens.
func (r Roots) Socket() string { return filepath.Join(r.Run, "stack.sock") }

func (r Roots) InState(elem ...string) string {
	return filepath.Join(append([]string{r.State}, elem...)...)
}
func (r Roots) InRun(elem ...string) string {
	return filepath.Join(append([]string{r.Run}, elem...)...)
}
