package single

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/lifecycle"
	"github.com/stackrun/stack/reconcile/naming"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/resource"
	"github.com/stackrun/stack/reconcile/standalone"
	"github.com/stackrun/stack/reconcile/wiring"
)

// Want is a container to be made that belongs to no file.
type Want struct {
	Name   string    // "" = one is made up
	Spec   plan.Spec // networks by name or id; namespaces and volumes of others as container:REF
	Traits standalone.Traits

	Rows, Cols uint16 // of its terminal at its start; 0 = not known
}

// ErrNoImage: what is not there, of all that a container is made of, is its image, which a client may pull.
var ErrNoImage = errors.New("no such image")

// Create makes the container w, with volumes that it names and that are not there, and returns its id, and what of it has no effect here, a sentence each. It is
// done when it is on record; before that nothing of it stays. ErrNotFound: the image (ErrNoImage too), a network or another container is not there; ErrConflict: the name is taken.
func (cs *Containers) Create(ctx context.Context, w Want) (id string, warnings []string, err error) {
	defer cs.turns.Enter()()
	info, err := inventory.Image(ctx, cs.drivers, w.Spec.Image, w.Spec.Platform)
	if err != nil {
		if errors.Is(err, errdefs.ErrNotFound) {
			err = errdefs.With(errdefs.ErrNotFound, errdefs.With(ErrNoImage, fmt.Errorf("No such image: %s", w.Spec.Image))) //nolint:staticcheck // docker's sentence, which clients look for
		}
		return "", nil, err
	}
	name, free, err := cs.takeName(ctx, w.Name)
	if err != nil {
		return "", nil, err
	}
	defer free()
	spec, err := cs.resolveWant(ctx, &w, &info.Config)
	if err != nil {
		return "", nil, fmt.Errorf("cannot create container %s: %w", name, err)
	}
	anonymous := bundle.AnonymousTargets(&spec, &info.Config)
	if len(anonymous) > 0 || slices.ContainsFunc(spec.Mounts, func(m plan.Mount) bool { return m.Type == "volume" }) {
		release, err := cs.turns.Turn(ctx, resource.VolumeTurn)
		if err != nil {
			return "", nil, err
		}
		defer release()
	}
	if err := cs.makeVolumes(ctx, spec.Mounts); err != nil {
		return "", nil, fmt.Errorf("cannot create container %s: %w", name, err)
	}
	traits := w.Traits
	traits.Labels = maps.Clone(info.Config.Labels)
	if traits.Labels == nil {
		traits.Labels = map[string]string{}
	}
	maps.Copy(traits.Labels, w.Traits.Labels)

	id = objectid.New()
	unlock, err := cs.keep.Locks.Lock(ctx, id)
	if err != nil {
		return "", nil, err
	}
	defer unlock()
	record := &standalone.Record{ID: id, Name: name, Spec: spec, ImageID: info.ID.String(), Anonymous: map[string]string{}, Traits: traits}
	for _, target := range anonymous {
		record.Anonymous[target] = bundle.AnonymousName(id, target)
	}
	if len(record.Anonymous) > 0 { // all else that a killed daemon leaves can be told from what somebody wants
		record.Making = true
		if err := cs.alone.Put(record); err != nil {
			return "", nil, fmt.Errorf("cannot create container %s: %w", name, err)
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, cs.alone.Forget(record.ID))
			}
		}()
	}
	warn := func(ev event.Event) {
		if ev.Phase == event.Warning {
			warnings = append(warnings, ev.Detail)
		}
	}
	if _, err := cs.keep.Create(ctx, lifecycle.Draft{Sink: warn, Service: &plan.Service{}, Spec: spec, Image: info.ID.String(), Name: name, ID: id, Alone: &traits, Rows: w.Rows, Cols: w.Cols}); err != nil {
		return "", nil, fmt.Errorf("cannot create container %s: %w", name, err)
	}
	c, err := inventory.ByID(ctx, cs.drivers, id)
	if err == nil {
		record.CreatedAt, record.Making = c.CreatedAt, false
		err = cs.alone.Put(record)
	}
	if err != nil {
		if c != nil {
			err = errors.Join(err, cs.keep.RemoveParts(context.WithoutCancel(ctx), c, true, nil))
		}
		return "", nil, fmt.Errorf("cannot create container %s: %w", name, err)
	}
	cs.group.Known(c.ID, c.Supervision(), inventory.ExitOf(c.Exit))
	cs.hub.Say(nil, c.Event(event.Done, "Created", ""))
	return id, warnings, nil
}

// namesTried bounds how often a name is made up that is taken.
const namesTried = 50

// takeName finds out that nobody has name, or makes one up for "", and keeps others from taking it until free is called.
func (cs *Containers) takeName(ctx context.Context, name string) (_ string, free func(), err error) {
	if name != "" {
		name = strings.TrimPrefix(name, "/")
		if err := standalone.CheckName(name); err != nil {
			return "", nil, err
		}
		free, err := cs.holdName(ctx, name)
		return name, free, err
	}
	for attempt := range namesTried {
		name := standalone.NewName(attempt)
		free, err := cs.holdName(ctx, name)
		if err == nil || !errors.Is(err, errdefs.ErrConflict) {
			return name, free, err
		}
	}
	return "", nil, fmt.Errorf("cannot make up a name for a container: %d were taken", namesTried)
}

func (cs *Containers) holdName(ctx context.Context, name string) (free func(), err error) {
	free, err = cs.names.Hold(ctx, name, "")
	if taken := (*naming.TakenError)(nil); errors.As(err, &taken) {
		err = errdefs.With(errdefs.ErrConflict, fmt.Errorf("Conflict. The container name %q is already in use by container %q, %s. You have to remove (or rename) that container to be able to reuse that name", //nolint:staticcheck // docker's sentence
			"/"+name, taken.By.ID, taken.By.Whose()))
	}
	return free, err
}

// resolveWant is w's Spec with what it names by reference found: networks, containers, ports of the image.
func (cs *Containers) resolveWant(ctx context.Context, w *Want, image *v1.Config) (plan.Spec, error) {
	spec := w.Spec
	list, err := inventory.List(ctx, cs.drivers, "")
	if err != nil {
		return spec, err
	}
	for _, mode := range []*string{&spec.NetworkMode, &spec.PID, &spec.IPC} {
		if ref, ok := strings.CutPrefix(*mode, wiring.ByContainer); ok {
			owner, err := inventory.PickByRef(list, strings.TrimPrefix(ref, "/"))
			if err != nil {
				return spec, err
			}
			*mode = wiring.ByContainer + owner.ID
		}
	}
	spec.VolumesFrom = nil
	for _, text := range w.Spec.VolumesFrom {
		ref, mode, _ := strings.Cut(strings.TrimPrefix(text, wiring.ByContainer), ":")
		owner, err := inventory.PickByRef(list, strings.TrimPrefix(ref, "/"))
		if err != nil {
			return spec, err
		}
		text = wiring.ByContainer + owner.ID
		if mode != "" {
			text += ":" + mode
		}
		if _, _, err := wiring.Lender(text); err != nil {
			return spec, err
		}
		spec.VolumesFrom = append(spec.VolumesFrom, text)
	}
	if spec.Networks, err = cs.networksByRef(ctx, w.Spec.Networks); err != nil {
		return spec, err
	}
	if w.Traits.PublishAll && len(spec.Networks) > 0 {
		spec.Ports = append(slices.Clone(spec.Ports), exposedPorts(&spec, image)...)
	}
	return spec, nil
}

// exposedPorts are those that image and client say the container listens on and that are not published: any port of the host's for each.
func exposedPorts(s *plan.Spec, image *v1.Config) []plan.Port {
	var out []plan.Port
	for _, text := range bundle.Exposed(s, image) {
		first, last, protocol, err := inventory.Ports(text)
		if err != nil {
			continue // the image's own words
		}
		if protocol == "tcp" {
			protocol = "" // as a plan has it
		}
		for port := first; port <= last; port++ {
			p := plan.Port{Target: uint16(port), Protocol: protocol}
			if !slices.ContainsFunc(s.Ports, func(have plan.Port) bool { return have.Target == p.Target && have.Protocol == p.Protocol }) {
				out = append(out, p)
			}
		}
	}
	return out
}

// networksByRef is endpoints by the names of their networks on the host.
func (cs *Containers) networksByRef(ctx context.Context, endpoints map[string]plan.Endpoint) (map[string]plan.Endpoint, error) {
	if len(endpoints) == 0 {
		return nil, nil
	}
	out := map[string]plan.Endpoint{}
	for ref, ep := range endpoints {
		network, err := cs.networks.Inspect(ctx, ref)
		if err != nil {
			return nil, err
		}
		name := network.Name
		if name == resource.HostNetwork || name == resource.NoNetwork {
			return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("network %s is for one container alone: it is a network mode", name))
		}
		if _, twice := out[name]; twice {
			return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("network %s is there twice, by its name and by its id", name))
		}
		out[name] = ep
	}
	return out, nil
}

// makeVolumes makes the volumes that mounts name and that are not there, as dockerd does: they stay when their container goes. Precondition: if there is one, the turn of volumes is held.
func (cs *Containers) makeVolumes(ctx context.Context, mounts []plan.Mount) error {
	for _, m := range mounts {
		if m.Type != "volume" || m.Source == "" {
			continue
		}
		if _, err := cs.volumes.Inspect(ctx, m.Source); err == nil {
			continue
		} else if !errors.Is(err, errdefs.ErrNotFound) {
			return err
		}
		if _, err := cs.volumes.Make(ctx, resource.VolumeRequest{Name: m.Source, Driver: "local", Labels: m.Labels}); err != nil {
			return fmt.Errorf("volume %s: %w", m.Source, err)
		}
	}
	return nil
}
