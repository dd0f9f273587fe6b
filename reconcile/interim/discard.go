package interim

import (
	"encoding/json"
	"fmt"
)

// bucketDiscards holds, by the id of a container that is being removed with its anonymous volumes, which those are.
const bucketDiscards = "discards"

// Discard is what goes with a container.
type Discard struct {
	Project string            `json:"project"`
	Volumes map[string]string `json:"volumes"` // target → volume
}

// BeginDiscard remembers what goes with the container id, which alone knows it and goes first.
func (b *Book) BeginDiscard(id string, d Discard) error {
	raw, _ := json.Marshal(d) // strings
	return b.store.Put(bucketDiscards, id, raw)
}

// EndDiscard forgets it: all of it is gone, or none of it is to go.
func (b *Book) EndDiscard(id string) error { return b.store.Delete(bucketDiscards, id) }

// Discards are those that did not end, by the container's id.
func (b *Book) Discards() (map[string]Discard, error) {
	left := map[string]Discard{}
	err := b.store.Each(bucketDiscards, func(id string, raw []byte) error {
		var d Discard
		if err := json.Unmarshal(raw, &d); err != nil {
			return fmt.Errorf("cannot read what goes with container %s: %w", id, err)
		}
		left[id] = d
		return nil
	})
	return left, err
}
