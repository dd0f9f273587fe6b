package lifecycle

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/position"
	"github.com/stackrun/stack/spec"
)

// RemoveOptions of RemoveAll.
type RemoveOptions struct {
	Timeout *time.Duration // of stops; nil = each container's own
	Volumes bool           // anonymous ones too
	Forget  bool           // no successor is to have their anonymous volumes
	File    *spec.Project  // where errors have their places; may be nil
}

// RemoveAll stops those of list, of m, that run and removes all of them, dependents before what they depend on. One that does not stop, because its pre_stop fails say, runs
// on with what it depends on, which is told, and the others are removed.
func (k *Keeper) RemoveAll(ctx context.Context, m *inventory.Members, list []*inventory.Container, o RemoveOptions, sink event.Sink) error {
	var mu sync.Mutex
	stays := map[string]string{} // by service that a container of, or of a service that needs it, runs on: its name
	return m.Each(ctx, list, true, func(c *inventory.Container) error {
		mu.Lock()
		var by string
		for _, user := range m.Users(c.Service) {
			if by = stays[user]; by != "" {
				stays[c.Service] = by
				break
			}
		}
		mu.Unlock()
		if by != "" {
			k.hub.Say(sink, c.Event(event.Warning, "Left as it is", by+", which depends on it, runs on"))
			return nil
		}
		var err error
		if c.Alive() {
			err = k.Stop(ctx, c, o.Timeout, sink)
		} else if _, err = k.AtRest(ctx, c.ID, o.Timeout, sink); errors.Is(err, errdefs.ErrNotFound) {
			err = nil // others have removed it: what it leaves is removed here
		}
		if err != nil {
			mu.Lock()
			stays[c.Service] = c.Name
			mu.Unlock()
			return HookAt(o.File, c.Service, err)
		}
		if err := k.Remove(ctx, c, o.Volumes, sink); err != nil || !o.Forget {
			return err
		}
		return k.interim.DropAnonymous(c.Project, c.Replica())
	})
}

// HookAt is err, of a container of service, with the place of the hook in the file p, if it is that of one.
func HookAt(p *spec.Project, service string, err error) error {
	var hook *HookError
	if !errors.As(err, &hook) {
		return err
	}
	return position.At(p, spec.Path("services."+service+"."+hook.Key), err)
}
