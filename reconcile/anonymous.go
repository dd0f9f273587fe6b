package reconcile

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

// keepAnonymous remembers the anonymous volumes of a container that is being recreated, until its successor is there.
func (e *Engine) keepAnonymous(project string, id plan.ID, volumes map[string]string) error {
	raw, _ := json.Marshal(volumes) // a map of strings
	return e.store.Put(bucketAnonymous, anonymousKey(project, id), raw)
}

func (e *Engine) dropAnonymous(project string, id plan.ID) error {
	key := anonymousKey(project, id)
	if _, err := e.store.Get(bucketAnonymous, key); errors.Is(err, errdefs.ErrNotFound) {
		return nil // the usual case, and reading costs no sync
	}
	return e.store.Delete(bucketAnonymous, key)
}

func (e *Engine) keptAnonymous(project string) (map[plan.ID]map[string]string, error) {
	kept := map[plan.ID]map[string]string{}
	err := e.store.Each(bucketAnonymous, func(key string, raw []byte) error {
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
