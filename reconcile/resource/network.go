// Package resource has the networks and volumes of the host by their names and ids, of all projects and of none. It
// also keeps the records of those that a client of the Docker Engine API has made, which belong to no file. See
// docs/adr/0071-networks-and-volumes-without-a-file.md.
package resource

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network"
)

// Label is on what belongs to no file, in the records of the rooms. Its value is the encoded Network; of a volume it is not looked at. What clients give as labels is in none of
// those records' labels: there they would say whose it is.
const Label = "dev.stackrun.resource"

// LabelAnonymous is dockerd's, on volumes that nobody has named.
const LabelAnonymous = "com.docker.volume.anonymous"

// version of the record. It is raised when the meaning of a field changes, never when one is added.
const version = 1

// Network is the wish for one network.
type Network struct {
	ID         string            `json:"id"`
	CreatedAt  time.Time         `json:"createdAt"`
	Config     network.Config    `json:"config"` // as it was asked for, without labels
	Labels     map[string]string `json:"labels,omitempty"`
	Attachable bool              `json:"attachable,omitempty"` // shown as it was given: any container may be attached
	// AuxNames are what the client calls its auxiliary addresses, by address.
	AuxNames map[string]string `json:"auxNames,omitempty"`
	Default  bool              `json:"default,omitempty"` // the one that containers are on which name none
	// Pools are those that it got. After a reboot it gets them again, if nobody else has them.
	Pools []network.Pool `json:"pools,omitempty"`
}

type onDisk struct {
	Version int      `json:"resource"`
	Network *Network `json:"network"`
}

// Encode writes n.
func (n *Network) Encode() ([]byte, error) { return json.Marshal(onDisk{version, n}) }

// DecodeNetwork reads a record.
func DecodeNetwork(raw []byte) (*Network, error) {
	var d onDisk
	err := json.Unmarshal(raw, &d)
	switch {
	case d.Version != version && d.Version != 0:
		return nil, fmt.Errorf("it was written by another program: its version is %d, this one knows %d", d.Version, version)
	case err != nil:
		return nil, err
	case d.Network == nil || d.Network.ID == "" || d.Network.Config.ID == "":
		return nil, errors.New("it is no record of a network")
	}
	return d.Network, nil
}

// Mark is n's configuration for the room, which says there that it belongs to no file.
func (n *Network) Mark() (network.Config, error) {
	kept := *n
	kept.Pools = nil // the room knows
	raw, err := kept.Encode()
	if err != nil {
		return network.Config{}, fmt.Errorf("cannot record network %s: %w", n.Config.ID, err)
	}
	c := n.Config
	c.Labels = map[string]string{Label: string(raw)}
	return c, nil
}

// Marked is the record that Mark has put into the labels of c; nil when it is not there.
func Marked(c network.Config) *Network {
	raw, ok := c.Labels[Label]
	if !ok {
		return nil
	}
	n, err := DecodeNetwork([]byte(raw))
	if err != nil {
		return nil
	}
	return n
}

// DerivedID is the id of what has no record of its own here: always the same for the same parts.
func DerivedID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// EndpointID is the id of a container's membership of a network.
func EndpointID(networkID, containerID string) string {
	return DerivedID("endpoint", networkID, containerID)
}

// Find is the index of what ref means among n things: the one with that name, the one with that id, or the only one whose id begins so; named and
// known are their names and ids. what is a word for people. ErrNotFound; ErrInvalidArgument when several ids begin so.
func Find(what, ref string, n int, name, id func(i int) string) (int, error) {
	found := -1
	for i := range n {
		if id(i) == ref {
			return i, nil
		}
	}
	for i := range n {
		if name(i) == ref {
			return i, nil
		}
	}
	for i := range n {
		if ref == "" || !strings.HasPrefix(id(i), ref) {
			continue
		}
		if found >= 0 {
			return 0, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("%s %s is ambiguous: the ids of several begin so", what, ref))
		}
		found = i
	}
	if found < 0 {
		return 0, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("%s %s not found", what, ref))
	}
	return found, nil
}
