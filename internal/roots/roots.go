// Package roots knows where one instance of stack keeps its things, and the
// short id that keeps several instances on one host apart.
package roots

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
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

// Instance is 6 hex digits derived from State, Run, and the network namespace of the process. Names of bridges,
// nft tables and the cgroup parent carry it.
//
// The namespace is in it because cgroups have no such border: two daemons in two containers or test machines may well use
// the same paths and yet see one cgroup tree, where each would take the other's cgroups for what a crash has left. It
// stays the same as long as what carries the id can exist: for the life of the namespace.
func (r Roots) Instance() string {
	netns, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		netns = "" // without /proc the paths have to do
	}
	sum := sha256.Sum256([]byte(r.State + "\x00" + r.Run + "\x00" + netns))
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
