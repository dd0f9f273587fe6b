package resource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/wish"
)

// Names of the networks that are always there for clients of the Docker Engine API. DefaultNetwork is made when it is first used, by a container of such a client that names none; on
// the other two there is nothing to make.
const (
	DefaultNetwork = "bridge"
	HostNetwork    = "host"
	NoNetwork      = "none"
)

// Networks is for those who mean a network by its name or id, whoever's it is, and for containers that are to be on one. Networks that belong to no file
// (docs/adr/0071-networks-and-volumes-without-a-file.md) are made here only. Errors as errdefs has them. Safe for concurrent use.
type Networks struct {
	drivers driver.Set
	store   driver.Store
	wishes  *wish.Book
	hub     *event.Hub
	log     *slog.Logger
	turns   Turns
	name    string // of the state root: ids are made of it
	lost    bool   // the store is a new one in place of one that was damaged
}

// Turns says whose turn it is. *loop.Loop does.
type Turns interface {
	// Turn waits for the turn that is called so.
	Turn(ctx context.Context, name string) (release func(), err error)
	// Pass is Turn of a project for a command, which goes before whatever nobody has asked for.
	Pass(ctx context.Context, project string) (release func(), err error)
}

// Options of NewNetworks.
type Options struct {
	Drivers driver.Set
	Store   driver.Store // of the records of those that belong to no file
	Wishes  *wish.Book
	Hub     *event.Hub
	Log     *slog.Logger
	Turns   Turns
	Name    string // of the state root, for life
	Lost    bool   // Store is a new one in place of one that was damaged: networks on the host say themselves what they are
}

// NewNetworks are those of o.
func NewNetworks(o Options) *Networks {
	return &Networks{drivers: o.Drivers, store: o.Store, wishes: o.Wishes, hub: o.Hub, log: o.Log, turns: o.Turns, name: o.Name, lost: o.Lost}
}

// NetworkDetail is a network as it is.
type NetworkDetail struct {
	ID, Name   string
	CreatedAt  time.Time // zero = nobody knows
	Driver     string    // docker's word: bridge, macvlan, ipvlan, host, null
	Config     network.Config
	Pools      []network.Pool    // as allocated; none while there is nothing of it on the host
	Labels     map[string]string // as clients see them
	Attachable bool
	AuxNames   map[string]string // of auxiliary addresses, by address; those of files have none
	Predefined bool              // nobody made it, and nobody can remove it
	Project    string            // whose it is; "" = nobody's
	Link       string            // of the host; "" = it has none
	Members    []NetworkMember
}

// NetworkMember is a container that is on a network now.
type NetworkMember struct {
	ContainerID, Name string
	EndpointID        string
	MAC               string
	IPv4, IPv6        netip.Prefix // zero = none
}

// NetworkRequest is a network to be.
type NetworkRequest struct {
	Config     network.Config // ID is its name; without labels
	Labels     map[string]string
	AuxNames   map[string]string // by address
	Attachable bool
}

// networkTurn is the key of the turn of whoever makes or removes a network that belongs to no file: no project has such a name.
const networkTurn = "\x00networks"

const bucketNetworks = "networks"

// List is every network, by name.
func (a *Networks) List(ctx context.Context) ([]NetworkDetail, error) {
	states, err := a.drivers.Networks.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list networks: %w", err)
	}
	records, err := a.records()
	if err != nil {
		return nil, err
	}
	list, err := inventory.List(ctx, a.drivers, "")
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, c := range list {
		names[c.ID] = c.RowName()
	}
	there := map[string]bool{}
	var all []NetworkDetail
	for _, s := range states {
		if s.Config.Labels[label.Project] == "" && s.Config.Labels[Label] == "" {
			continue // of a build, while it runs
		}
		there[s.Config.ID] = true
		all = append(all, a.detail(s, records[s.Config.ID], names))
	}
	for name, r := range records {
		if !there[name] { // it could not be made again after a reboot
			all = append(all, a.detail(network.State{Config: r.Config}, r, names))
			there[name] = true
		}
	}
	for name, driver := range map[string]string{DefaultNetwork: "bridge", HostNetwork: "host", NoNetwork: "null"} {
		if there[name] {
			continue
		}
		d := NetworkDetail{ID: a.derivedID(name), Name: name, Driver: driver, Predefined: true, Labels: map[string]string{}, Config: network.Config{ID: name, IPv4: true}}
		if name != DefaultNetwork {
			d.Members = membersByMode(list, name, d.ID)
		}
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b NetworkDetail) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// membersByMode are the running containers whose network mode is one of docker's two that have nothing on the host.
func membersByMode(list []*inventory.Container, mode, networkID string) (all []NetworkMember) {
	for _, c := range list {
		if c.Alive() && c.Spec.NetworkMode == mode {
			all = append(all, NetworkMember{ContainerID: c.ID, Name: c.RowName(), EndpointID: EndpointID(networkID, c.ID)})
		}
	}
	return all
}

// derivedID is the id of a predefined network of this state root.
func (a *Networks) derivedID(name string) string {
	return DerivedID("network", a.name, name)
}

// id is the id that clients know s by.
func (a *Networks) id(s network.State) string {
	if r := Marked(s.Config); r != nil {
		return r.ID
	}
	return DerivedID("network", a.name, s.Config.ID, s.CreatedAt.UTC().Format(time.RFC3339Nano))
}

// detail is s in words for clients. r is its record, nil = there is none; names are those of containers.
func (a *Networks) detail(s network.State, r *Network, names map[string]string) NetworkDetail {
	d := NetworkDetail{
		ID: a.id(s), Name: s.Config.ID, CreatedAt: s.CreatedAt, Driver: cmp.Or(s.Config.Driver, "bridge"), Config: s.Config, Pools: s.Pools, Link: s.Link,
		Labels: maps.Clone(s.Config.Labels), Project: s.Config.Labels[label.Project],
	}
	if d.Labels == nil {
		d.Labels = map[string]string{}
	}
	delete(d.Labels, label.Want) // ours, for nobody to read
	if r == nil {
		r = Marked(s.Config)
	}
	if r != nil {
		d.ID, d.CreatedAt, d.Attachable, d.Predefined, d.Project = r.ID, r.CreatedAt, r.Attachable, r.Default, ""
		d.AuxNames = r.AuxNames
		if d.Labels = maps.Clone(r.Labels); d.Labels == nil {
			d.Labels = map[string]string{}
		}
	}
	for _, ep := range s.Endpoints {
		d.Members = append(d.Members, NetworkMember{
			ContainerID: ep.ContainerID, Name: cmp.Or(names[ep.ContainerID], objectid.Short(ep.ContainerID)), EndpointID: EndpointID(d.ID, ep.ContainerID),
			MAC: ep.HardwareAddr(), IPv4: ep.Addr4, IPv6: ep.Addr6,
		})
	}
	return d
}

// Inspect is the network that ref means: a name, an id, or the beginning of one.
func (a *Networks) Inspect(ctx context.Context, ref string) (NetworkDetail, error) {
	all, err := a.List(ctx)
	if err != nil {
		return NetworkDetail{}, err
	}
	i, err := Find("network", ref, len(all), func(i int) string { return all[i].Name }, func(i int) string { return all[i].ID })
	if err != nil {
		return NetworkDetail{}, err
	}
	return all[i], nil
}

// Create makes a network that belongs to no file. ErrAlreadyExists when there is one of that name. The record is written after the network, which is where it becomes
// one: what is found on the host without a record was not finished, and goes.
func (a *Networks) Create(ctx context.Context, r NetworkRequest) (NetworkDetail, error) {
	name := r.Config.ID
	release, err := a.turns.Turn(ctx, networkTurn)
	if err != nil {
		return NetworkDetail{}, err
	}
	defer release()
	if _, err := a.ByName(ctx, name); err == nil || !errors.Is(err, errdefs.ErrNotFound) {
		if err == nil {
			err = errdefs.With(errdefs.ErrAlreadyExists, fmt.Errorf("network with name %s already exists", name))
		}
		return NetworkDetail{}, err
	}
	made := &Network{ID: objectid.New(), CreatedAt: time.Now().UTC(), Config: r.Config, Labels: r.Labels, Attachable: r.Attachable, AuxNames: r.AuxNames}
	if err := a.make(ctx, made); err != nil {
		return NetworkDetail{}, err
	}
	return a.ByName(ctx, name)
}

// ByName is Inspect of a name alone.
func (a *Networks) ByName(ctx context.Context, name string) (NetworkDetail, error) {
	all, err := a.List(ctx)
	if err != nil {
		return NetworkDetail{}, err
	}
	i := slices.IndexFunc(all, func(d NetworkDetail) bool { return d.Name == name })
	if i < 0 {
		return NetworkDetail{}, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("network %s not found", name))
	}
	return all[i], nil
}

// make makes the network of r and records it. Precondition: the turn is held.
func (a *Networks) make(ctx context.Context, r *Network) error {
	cfg, err := r.Mark()
	if err != nil {
		return err
	}
	if err := a.drivers.Networks.CheckNetwork(ctx, cfg); err != nil {
		return err
	}
	// Begun, it is done: whoever asks may go.
	ctx = context.WithoutCancel(ctx)
	s, err := a.drivers.Networks.Create(ctx, cfg)
	if err != nil {
		return err
	}
	r.Pools = s.Pools
	if err := a.put(r); err != nil {
		return errors.Join(err, a.drivers.Networks.Delete(ctx, cfg.ID))
	}
	a.hub.Say(nil, event.Event{Kind: "network", Name: cfg.ID, ID: r.ID, Phase: event.Done, Text: "Created"})
	return nil
}

func (a *Networks) put(r *Network) error {
	raw, err := r.Encode()
	if err != nil {
		return fmt.Errorf("cannot record network %s: %w", r.Config.ID, err)
	}
	return a.store.Put(bucketNetworks, r.Config.ID, raw)
}

// records are those of all networks that belong to no file, by name. One that cannot be read is told and left out: the network is as it is.
func (a *Networks) records() (map[string]*Network, error) {
	all := map[string]*Network{}
	err := a.store.Each(bucketNetworks, func(name string, raw []byte) error {
		r, err := DecodeNetwork(raw)
		if err != nil {
			a.log.Warn("cannot read the record of a network", "network", name, "error", err)
			return nil
		}
		all[name] = r
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read the records of networks: %w", err)
	}
	return all, nil
}

// recorded says whether network name is on record, perhaps in words that this program cannot read.
func (a *Networks) recorded(name string) bool {
	_, err := a.store.Get(bucketNetworks, name)
	return !errors.Is(err, errdefs.ErrNotFound)
}

// Remove deletes the network that ref means. ErrConflict when containers are on it, it is predefined, or a project is up that has it. The record goes first: what is
// found without one goes with the next daemon.
func (a *Networks) Remove(ctx context.Context, ref string) error {
	d, err := a.Inspect(ctx, ref)
	if err != nil {
		return err
	}
	turn := func() (func(), error) { return a.turns.Turn(ctx, networkTurn) }
	if d.Project != "" { // a command of it may take long, and nobody else is to wait for that
		turn = func() (func(), error) { return a.turns.Pass(ctx, d.Project) }
	}
	release, err := turn()
	if err != nil {
		return err
	}
	defer release()
	if d, err = a.Inspect(ctx, d.ID); err != nil {
		return err
	}
	if d.Predefined {
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("%s is a pre-defined network and cannot be removed", d.Name))
	}
	if len(d.Members) > 0 {
		var who []string
		for _, m := range d.Members {
			who = append(who, fmt.Sprintf("name:%q id:%q", m.Name, objectid.Short(m.ContainerID)))
		}
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("error while removing network: network %s has active endpoints (%s)", d.Name, strings.Join(who, ", ")))
	}
	if d.Project != "" {
		return a.removeOfProject(ctx, d)
	}
	ctx = context.WithoutCancel(ctx)
	raw, err := a.store.Get(bucketNetworks, d.Name)
	if err != nil && !errors.Is(err, errdefs.ErrNotFound) {
		return err
	}
	if err := a.store.Delete(bucketNetworks, d.Name); err != nil {
		return err
	}
	if err := a.drivers.Networks.Delete(ctx, d.Name); err != nil {
		if raw != nil {
			err = errors.Join(err, a.store.Put(bucketNetworks, d.Name, raw))
		}
		return err
	}
	a.hub.Say(nil, event.Event{Kind: "network", Name: d.Name, ID: d.ID, Phase: event.Done, Text: "Removed"})
	return nil
}

// removeOfProject is Remove of a network that a project has: not before the project is down, for it would come back. Precondition: its pass is held.
func (a *Networks) removeOfProject(ctx context.Context, d NetworkDetail) error {
	r, err := a.wishes.Of(d.Project)
	if err != nil {
		return err
	}
	if r != nil && len(r.Wanted()) > 0 {
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot remove network %s: it is of project %s, which is not down; `stack --project-name %s down` removes it", d.Name, d.Project, d.Project))
	}
	return a.Delete(context.WithoutCancel(ctx), d.Project, d.Name, nil)
}

// Prune removes the networks that no container is on and none that there is would be, and that which says yes to. It gives their names.
func (a *Networks) Prune(ctx context.Context, which func(NetworkDetail) bool) ([]string, error) {
	all, err := a.List(ctx)
	if err != nil {
		return nil, err
	}
	used, err := a.wanted(ctx)
	if err != nil {
		return nil, err
	}
	var gone []string
	for _, d := range all {
		if d.Predefined || len(d.Members) > 0 || used[d.Name] || !which(d) {
			continue
		}
		err := a.Remove(ctx, d.ID)
		switch {
		case errors.Is(err, errdefs.ErrConflict), errors.Is(err, errdefs.ErrNotFound): // since it was listed
		case err != nil:
			return gone, err
		default:
			gone = append(gone, d.Name)
		}
	}
	return gone, nil
}

// wanted are the names of networks that containers of any state are to be on.
func (a *Networks) wanted(ctx context.Context) (map[string]bool, error) {
	list, err := inventory.List(ctx, a.drivers, "")
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, c := range list {
		for name := range c.Spec.Networks {
			used[name] = true
		}
	}
	return used, nil
}

// Delete removes network name of project. One that is in use stays, with a warning.
func (a *Networks) Delete(ctx context.Context, project, name string, sink event.Sink) error {
	a.hub.Say(sink, event.Event{Project: project, Kind: "network", Name: name, Phase: event.Working, Text: "Removing"})
	err := a.drivers.Networks.Delete(ctx, name)
	switch {
	case errors.Is(err, errdefs.ErrConflict):
		a.hub.Say(sink, event.Event{Project: project, Kind: "network", Name: name, Phase: event.Warning, Text: "Resource is still in use", Detail: err.Error()})
		return nil
	case err != nil:
		err = fmt.Errorf("cannot remove network %s: %w", name, err)
		a.hub.Say(sink, event.Event{Project: project, Kind: "network", Name: name, Phase: event.Failed, Text: "Error", Detail: err.Error()})
		return err
	}
	a.hub.Say(sink, event.Event{Project: project, Kind: "network", Name: name, Phase: event.Done, Text: "Removed"})
	return nil
}

// IDs are the ids of networks by their names.
func (a *Networks) IDs(ctx context.Context) (map[string]string, error) {
	states, err := a.drivers.Networks.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list networks: %w", err)
	}
	ids := map[string]string{}
	for _, name := range []string{DefaultNetwork, HostNetwork, NoNetwork} {
		ids[name] = a.derivedID(name)
	}
	for _, s := range states {
		ids[s.Config.ID] = a.id(s)
	}
	return ids, nil
}
