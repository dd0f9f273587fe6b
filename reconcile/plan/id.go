package plan

import (
	"cmp"
	"fmt"
)

// Kind of a resource.
type Kind string

const (
	KindImage     Kind = "image"
	KindNetwork   Kind = "network"
	KindVolume    Kind = "volume"
	KindContainer Kind = "container"
)

// ID addresses a resource of one project. Name is what it is called on the host (shop_front, postgres:15);
// for a container it is the service, and Replica its number from 1.
type ID struct {
	Kind    Kind   `json:"kind"`
	Name    string `json:"name"`
	Replica int    `json:"replica,omitempty"`
}

// String is "network:shop_front", "container:web/2".
func (id ID) String() string {
	if id.Kind == KindContainer {
		return fmt.Sprintf("%s:%s/%d", id.Kind, id.Name, id.Replica)
	}
	return string(id.Kind) + ":" + id.Name
}

// rank is the order in which kinds are listed: what others need comes first.
var rank = map[Kind]int{KindImage: 0, KindNetwork: 1, KindVolume: 2, KindContainer: 3}

// Compare orders ids by kind, name and number.
func Compare(a, b ID) int {
	return cmp.Or(cmp.Compare(rank[a.Kind], rank[b.Kind]), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Replica, b.Replica))
}

// Container is the ID of a replica.
func Container(service string, replica int) ID {
	return ID{Kind: KindContainer, Name: service, Replica: replica}
}
