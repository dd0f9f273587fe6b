package interim

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/spec"
)

// bucketRollouts holds, by project/service, the rolling updates that are under way or have failed.
const bucketRollouts = "rollouts"

// rolloutRecord is an update of a service that has not succeeded.
type rolloutRecord struct {
	Before *spec.Service `json:"before,omitempty"` // as the file had it, nil = it had it not
	Failed bool          `json:"failed,omitempty"` // the next begins anew
}

func rolloutKey(project, service string) string { return project + "/" + service }

func (b *Book) rolloutRecord(project, service string) (*rolloutRecord, error) {
	raw, err := b.store.Get(bucketRollouts, rolloutKey(project, service))
	if errors.Is(err, errdefs.ErrNotFound) {
		return nil, nil
	}
	r := new(rolloutRecord)
	if err == nil {
		err = json.Unmarshal(raw, r)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the record of the update of service %s: %w", service, err)
	}
	return r, nil
}

func (b *Book) putRollout(project, service string, r rolloutRecord) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("cannot record the update of service %s: %w", service, err)
	}
	return b.store.Put(bucketRollouts, rolloutKey(project, service), raw)
}

// BeginRollouts records what the rolling updates of services begin from: p, the last applied file; nil = there is none. An update that goes on after a crash
// has its beginning. Precondition: the new file is not recorded yet.
func (b *Book) BeginRollouts(project string, services []string, p *spec.Project) error {
	for _, name := range services {
		old, err := b.rolloutRecord(project, name)
		if err != nil {
			return err
		}
		if old != nil && !old.Failed {
			continue
		}
		r := rolloutRecord{}
		if p != nil {
			r.Before = p.Services[name]
		}
		if old != nil && r.Before == nil {
			r.Before = old.Before
		}
		if err := b.putRollout(project, name, r); err != nil {
			return err
		}
	}
	return nil
}

// DropRollouts forgets the updates of services, nil = all: they have come to their end.
func (b *Book) DropRollouts(project string, services []string) error {
	var keys []string
	if err := b.store.Each(bucketRollouts, func(key string, _ []byte) error {
		if service, ok := strings.CutPrefix(key, project+"/"); ok && (services == nil || slices.Contains(services, service)) {
			keys = append(keys, key)
		}
		return nil
	}); err != nil {
		return err
	}
	for _, key := range keys {
		if err := b.store.Delete(bucketRollouts, key); err != nil {
			return err
		}
	}
	return nil
}

// FailRollout records that the update of a service has failed, and returns the service as it was before; nil = it was not there.
func (b *Book) FailRollout(project, service string) (before *spec.Service, _ error) {
	r, err := b.rolloutRecord(project, service)
	if err != nil {
		return nil, err
	}
	if r == nil {
		r = new(rolloutRecord)
	}
	r.Failed = true
	return r.Before, b.putRollout(project, service, *r)
}
