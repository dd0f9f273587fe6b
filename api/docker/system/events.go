package system

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/events"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/reconcile/event"
)

// message is an event with what clients before API version 1.52 read besides.
type message struct {
	Status string `json:"status,omitempty"`
	Old    string `json:"id,omitempty"`
	From   string `json:"from,omitempty"`
	events.Message
}

// eventFilters are docker's. Of types that there is nothing of here, nothing is told.
var eventFilters = []string{"config", "container", "daemon", "event", "image", "label", "network", "node", "plugin", "scope", "secret", "service", "type", "volume"}

// events tells what happens, a JSON object each, until the client goes or the time that until says.
func (h *handlers) events(w http.ResponseWriter, r *http.Request) error {
	f, err := wire.ReadFilters(r, eventFilters...)
	if err != nil {
		return err
	}
	var o event.Window
	now := time.Now()
	for name, into := range map[string]*time.Time{"since": &o.Since, "until": &o.Until} {
		if *into, err = wire.Time(name, r.URL.Query().Get(name), now); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	happens := h.engine.Events(ctx, "", o) // before the answer begins: what comes after it is in there
	out := json.NewEncoder(wire.Stream(w, "application/json"))
	t := newTeller(func(ev event.Event) event.Actor { return h.engine.EventActor(ctx, ev) })
	for ev := range happens {
		for _, m := range t.tell(ev) {
			if !wanted(f, m) {
				continue
			}
			if err := out.Encode(old(m)); err != nil {
				return nil //nolint:nilerr // the peer is gone
			}
		}
	}
	return nil
}

// old adds to m what it was called before, where it was called anything.
func old(m events.Message) message {
	out := message{Message: m}
	switch m.Type {
	case events.ContainerEventType:
		out.Status, out.Old, out.From = string(m.Action), m.Actor.ID, m.Actor.Attributes["image"]
	case events.ImageEventType:
		out.Status, out.Old = string(m.Action), m.Actor.ID
	}
	return out
}

// wanted says whether f lets m through: for each key one of its values fits, and all labels do.
func wanted(f wire.Filters, m events.Message) bool {
	name := m.Actor.Attributes["name"]
	about := func(key string, kind events.Type) bool {
		return f.Any(key, func(v string) bool {
			return m.Type == kind && (strings.HasPrefix(m.Actor.ID, v) || strings.HasPrefix(name, strings.TrimPrefix(v, "/")))
		})
	}
	image := func(v string) bool {
		ref := m.Actor.Attributes["image"]
		if m.Type == events.ImageEventType {
			ref = name
		}
		bare, _, _ := strings.Cut(ref, ":")
		return v == m.Actor.ID || v == ref || v == bare
	}
	action := func(v string) bool {
		word, _, _ := strings.Cut(string(m.Action), ":")
		return v == string(m.Action) || v == word // health_status means any
	}
	return f.Any("event", action) && f.Is("type", string(m.Type)) && f.Is("scope", m.Scope) && f.Any("image", image) && f.Labels("label", m.Actor.Attributes) &&
		about("container", events.ContainerEventType) && about("network", events.NetworkEventType) && about("volume", events.VolumeEventType) &&
		!slices.ContainsFunc([]string{"config", "daemon", "node", "plugin", "secret", "service"}, f.Has)
}
