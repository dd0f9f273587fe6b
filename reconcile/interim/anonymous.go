package interim

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/plan"
)

const bucketAnonymous = "anonymous"

func anonymousKey(project string, id plan.ID) string { return project + "/" + id.String() }

// KeepAnonymous remembers the anonymous volumes of a container that is being recreated, until its successor is there.
func (b *Book) KeepAnonymous(project string, id plan.ID, volumes map[string]string) error {
	raw, _ := json.Marshal(volumes) // a map of strings
	return b.store.Put(bucketAnonymous, anonymousKey(project, id), raw)
}

// DropAnonymous forgets them: the successor is there, or none is wanted.
func (b *Book) DropAnonymous(project string, id plan.ID) error {
	key := anonymousKey(project, id)
	if _, err := b.store.Get(bucketAnonymous, key); errors.Is(err, errdefs.ErrNotFound) {
		return nil // the usual case, and reading costs no sync
	}
	return b.store.Delete(bucketAnonymous, key)
}

// KeptAnonymous are the anonymous volumes of project that wait for a successor, by target.
func (b *Book) KeptAnonymous(project string) (map[plan.ID]map[string]string, error) {
	kept := map[plan.ID]map[string]string{}
	err := b.store.Each(bucketAnonymous, func(key string, raw []byte) error {
		rest, ok := strings.CutPrefix(key, project+"/container:")
		if !ok {
			return nil
		}
		i := strings.LastIndexByte(rest, '/')
		var number int
		volumes := map[string]string{}
		if i < 0 || json.Unmarshal(raw, &volumes) != nil {
			return nil
		}
		if _, err := fmt.Sscanf(rest[i+1:], "%d", &number); err != nil {
			return nil
		}
		kept[plan.Container(rest[:i], number)] = volumes
		return nil
	})
	return kept, err
}
