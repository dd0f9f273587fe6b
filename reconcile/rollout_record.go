package reconcile

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/wish"
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

func (e *Engine) rolloutRecord(project, service string) (*rolloutRecord, error) {
	raw, err := e.store.Get(bucketRollouts, rolloutKey(project, service))
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

func (e *Engine) putRollout(project, service string, r rolloutRecord) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("cannot record the update of service %s: %w", service, err)
	}
	return e.store.Put(bucketRollouts, rolloutKey(project, service), raw)
}

// rollouts are the services that pl updates in turns.
func rollouts(pl *plan.Plan) (services []string) {
	for _, s := range pl.Steps {
		if op, ok := s.Op.(plan.EndUpdate); ok {
			services = append(services, op.Service)
		}
	}
	return services
}

// beginRollouts records what pl's rolling updates begin from. Precondition: the new file is not recorded yet. An update that goes
// on after a crash has its beginning.
func (e *Engine) beginRollouts(pl *plan.Plan) error {
	services := rollouts(pl)
	if len(services) == 0 {
		return nil
	}
	p, err := e.desired(pl.Project)
	if err != nil {
		return err
	}
	for _, name := range services {
		old, err := e.rolloutRecord(pl.Project, name)
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
		if err := e.putRollout(pl.Project, name, r); err != nil {
			return err
		}
	}
	return nil
}

// dropRollouts forgets the updates of services, nil = all: they have come to their end.
func (e *Engine) dropRollouts(project string, services []string) error {
	var keys []string
	if err := e.store.Each(bucketRollouts, func(key string, _ []byte) error {
		if service, ok := strings.CutPrefix(key, project+"/"); ok && (services == nil || slices.Contains(services, service)) {
			keys = append(keys, key)
		}
		return nil
	}); err != nil {
		return err
	}
	for _, key := range keys {
		if err := e.store.Delete(bucketRollouts, key); err != nil {
			return err
		}
	}
	return nil
}

// failRollout records that the update of a service has failed. After a rollback the service of before is what is wished for: healing,
// a reboot and `drift` go by that.
func (e *Engine) failRollout(project, service string, rolledBack bool) error {
	r, err := e.rolloutRecord(project, service)
	if err != nil {
		return err
	}
	if r == nil {
		r = new(rolloutRecord)
	}
	r.Failed = true
	if err := e.putRollout(project, service, *r); err != nil {
		return err
	}
	if !rolledBack || r.Before == nil {
		return nil
	}
	p, err := e.desired(project)
	if err != nil || p == nil {
		return err
	}
	p.Services[service] = r.Before
	var encoding error
	if err := e.changeWish(project, func(w *wish.Record) { encoding = w.SetFile(p) }); err != nil {
		return err
	}
	return encoding
}
