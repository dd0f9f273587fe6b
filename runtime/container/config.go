// Package container says what a container is: what is asked for it, and what it is seen to be. It decides from values alone and touches nothing of the host.
package container

import (
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/runtime/mount"
)

// Config is everything that runtime needs to know of a container. It is written to the state
// root (mode 0600) by Create and read by every later verb, so a daemon that starts
// anew needs nothing else.
type Config struct {
	ID string `json:"id"` // 64 hex digits
	// Spec is the OCI runtime-spec value. Of its Mounts, Root and User:
	//   Spec.Root.Path is ignored (Root below makes the root); Spec.Root.Readonly holds.
	//   Spec.Process.User.Username, when set ("name", "name:group", "1000", "1000:1000"), is resolved by boot
	//   against /etc/passwd and /etc/group of the container and wins over UID and GID;
	//   Groups below likewise.
	//   A namespace of type network with a Path is joined; one of type pid, ipc or uts likewise.
	Spec   *specs.Spec   `json:"spec"`
	Root   []mount.Mount `json:"root"`   // from image: one overlay at "/", or one bind
	Mounts []mount.Mount `json:"mounts"` // from volume, in order of target path
	Groups []string      `json:"groups,omitempty"`

	Init       bool              `json:"init,omitempty"`      // a reaping, signal-forwarding PID 1 of ours before the process
	StdinOpen  bool              `json:"stdinOpen,omitempty"` // keep stdin open with nobody attached; else /dev/null
	Log        LogConfig         `json:"log"`
	StopSignal string            `json:"stopSignal,omitempty"` // "" = SIGTERM
	StopGrace  time.Duration     `json:"stopGrace,omitempty"`  // 0 = 10 s
	Labels     map[string]string `json:"labels"`
	// Facts are what whoever makes the container keeps about it. Unlike Labels and annotations nothing that an image or
	// a user says gets in here, so they may be acted upon.
	Facts     map[string]string `json:"facts,omitempty"`
	CreatedAt time.Time         `json:"createdAt"`
}

// LogConfig says where stdout and stderr go. Path "" = nowhere (logging driver none).
type LogConfig struct {
	Path     string `json:"path,omitempty"`     // <path>, rotated to <path>.1 …
	MaxSize  int64  `json:"maxSize,omitempty"`  // bytes of one file; 0 = no limit, and no rotation
	MaxFiles int    `json:"maxFiles,omitempty"` // 0 = 1: what does not fit is dropped
}

// Resources are the limits that c asks for, nil = none.
func (c *Config) Resources() *specs.LinuxResources {
	if c.Spec.Linux == nil {
		return nil
	}
	return c.Spec.Linux.Resources
}

// OwnPids says whether c has a pid namespace of its own.
func (c *Config) OwnPids() bool {
	for _, ns := range c.namespaces() {
		if ns.Type == specs.PIDNamespace {
			return ns.Path == ""
		}
	}
	return false
}

// OwnNetwork says whether c is in another network than the host's: one of its own, or one that it joins.
func (c *Config) OwnNetwork() bool {
	for _, ns := range c.namespaces() {
		if ns.Type == specs.NetworkNamespace {
			return true
		}
	}
	return false
}

func (c *Config) namespaces() []specs.LinuxNamespace {
	if c.Spec.Linux == nil {
		return nil
	}
	return c.Spec.Linux.Namespaces
}
