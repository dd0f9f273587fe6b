package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/resource"
	"github.com/stackrun/stack/reconcile/wording"
)

// Names of the networks that are always there for clients of the Docker Engine API. DefaultNetwork is made when it is first used, by a container of such a client that names none; on
// the other two there is nothing to make.
const (
	DefaultNetwork = "bridge"
	HostNetwork    = "host"
	NoNetwork      = "none"
)

// AllNetworks is the engine for those who mean a network by its name or id, whoever's it is: the Docker Engine API. Networks that belong to no file
// (docs/adr/0071-networks-and-volumes-without-a-file.md) are made here only. Errors as errdefs has them. Safe for concurrent use.
type AllNetworks struct{ e *Engine }

// AllNetworks is e by network.
func (e *Engine) AllNetworks() AllNetworks { return AllNetworks{e} }

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
func (a AllNetworks) List(ctx context.Context) ([]NetworkDetail, error) {
	e := a.e
	states, err := e.drivers.Networks.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list networks: %w", err)
	}
	records, err := e.networkRecords()
	if err != nil {
		return nil, err
	}
	list, err := inventory.List(ctx, e.drivers, "")
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
		if s.Config.Labels[label.Project] == "" && s.Config.Labels[resource.Label] == "" {
			continue // of a build, while it runs
		}
		there[s.Config.ID] = true
		all = append(all, e.networkDetail(s, records[s.Config.ID], names))
	}
	for name, r := range records {
		if !there[name] { // it could not be made again after a reboot
			all = append(all, e.networkDetail(network.State{Config: r.Config}, r, names))
			there[name] = true
		}
	}
	for name, driver := range map[string]string{DefaultNetwork: "bridge", HostNetwork: "host", NoNetwork: "null"} {
		if there[name] {
			continue
		}
		d := NetworkDetail{ID: e.derivedNetworkID(name), Name: name, Driver: driver, Predefined: true, Labels: map[string]string{}, Config: network.Config{ID: name, IPv4: true}}
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
			all = append(all, NetworkMember{ContainerID: c.ID, Name: c.RowName(), EndpointID: resource.EndpointID(networkID, c.ID)})
		}
	}
	return all
}

// derivedNetworkID is the id of a predefined network of this state root.
func (e *Engine) derivedNetworkID(name string) string {
	return resource.DerivedID("network", e.identity.name(), name)
}

// networkID is the id that clients know s by.
func (e *Engine) networkID(s network.State) string {
	if r := resource.Marked(s.Config); r != nil {
		return r.ID
	}
	return resource.DerivedID("network", e.identity.name(), s.Config.ID, s.CreatedAt.UTC().Format(time.RFC3339Nano))
}

// networkDetail is s in words for clients. r is its record, nil = there is none; names are those of containers.
func (e *Engine) networkDetail(s network.State, r *resource.Network, names map[string]string) NetworkDetail {
	d := NetworkDetail{
		ID: e.networkID(s), Name: s.Config.ID, CreatedAt: s.CreatedAt, Driver: cmp.Or(s.Config.Driver, "bridge"), Config: s.Config, Pools: s.Pools, Link: s.Link,
		Labels: maps.Clone(s.Config.Labels), Project: s.Config.Labels[label.Project],
	}
	if d.Labels == nil {
		d.Labels = map[string]string{}
	}
	delete(d.Labels, label.Want) // ours, for nobody to read
	if r == nil {
		r = resource.Marked(s.Config)
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
			ContainerID: ep.ContainerID, Name: cmp.Or(names[ep.ContainerID], wording.ShortID(ep.ContainerID)), EndpointID: resource.EndpointID(d.ID, ep.ContainerID),
			MAC: ep.HardwareAddr(), IPv4: ep.Addr4, IPv6: ep.Addr6,
		})
	}
	return d
}

// Inspect is the network that ref means: a name, an id, or the beginning of one.
func (a AllNetworks) Inspect(ctx context.Context, ref string) (NetworkDetail, error) {
	all, err := a.List(ctx)
	if err != nil {
		return NetworkDetail{}, err
	}
	i, err := resource.Find("network", ref, len(all), func(i int) string { return all[i].Name }, func(i int) string { return all[i].ID })
	if err != nil {
		return NetworkDetail{}, err
	}
	return all[i], nil
}

// Create makes a network that belongs to no file. ErrAlreadyExists when there is one of that name. The record is written after the network, which is where it becomes
// one: what is found on the host without a record was not finished, and goes.
func (a AllNetworks) Create(ctx context.Context, r NetworkRequest) (NetworkDetail, error) {
	name := r.Config.ID
	release, err := a.e.loop.Turn(ctx, networkTurn)
	if err != nil {
		return NetworkDetail{}, err
	}
	defer release()
	if _, err := a.byName(ctx, name); err == nil || !errors.Is(err, errdefs.ErrNotFound) {
		if err == nil {
			err = errdefs.With(errdefs.ErrAlreadyExists, fmt.Errorf("network with name %s already exists", name))
		}
		return NetworkDetail{}, err
	}
	made := &resource.Network{ID: resource.NewID(), CreatedAt: time.Now().UTC(), Config: r.Config, Labels: r.Labels, Attachable: r.Attachable, AuxNames: r.AuxNames}
	if err := a.make(ctx, made); err != nil {
		return NetworkDetail{}, err
	}
	return a.byName(ctx, name)
}

// byName is Inspect of a name alone.
func (a AllNetworks) byName(ctx context.Context, name string) (NetworkDetail, error) {
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
func (a AllNetworks) make(ctx context.Context, r *resource.Network) error {
	e := a.e
	cfg, err := r.Mark()
	if err != nil {
		return err
	}
	if err := e.drivers.Networks.CheckNetwork(ctx, cfg); err != nil {
		return err
	}
	// Begun, it is done: whoever asks may go.
	ctx = context.WithoutCancel(ctx)
	s, err := e.drivers.Networks.Create(ctx, cfg)
	if err != nil {
		return err
	}
	r.Pools = s.Pools
	if err := e.putNetwork(r); err != nil {
		return errors.Join(err, e.drivers.Networks.Delete(ctx, cfg.ID))
	}
	e.hub.Say(nil, event.Event{Kind: "network", Name: cfg.ID, ID: r.ID, Phase: event.Done, Text: "Created"})
	return nil
}

func (e *Engine) putNetwork(r *resource.Network) error {
	raw, err := r.Encode()
	if err != nil {
		return fmt.Errorf("cannot record network %s: %w", r.Config.ID, err)
	}
	return e.store.Put(bucketNetworks, r.Config.ID, raw)
}

// networkRecords are those of all networks that belong to no file, by name. One that cannot be read is told and left out: the network is as it is.
func (e *Engine) networkRecords() (map[string]*resource.Network, error) {
	all := map[string]*resource.Network{}
	err := e.store.Each(bucketNetworks, func(name string, raw []byte) error {
		r, err := resource.DecodeNetwork(raw)
		if err != nil {
			e.log.Warn("cannot read the record of a network", "network", name, "error", err)
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

// recordedNetwork says whether network name is on record, perhaps in words that this program cannot read.
func (e *Engine) recordedNetwork(name string) bool {
	_, err := e.store.Get(bucketNetworks, name)
	return !errors.Is(err, errdefs.ErrNotFound)
}

// Remove deletes the network that ref means. ErrConflict when containers are on it, it is predefined, or a project is up that has it. The record goes first: what is
// found without one goes with the next daemon.
func (a AllNetworks) Remove(ctx context.Context, ref string) error {
	e := a.e
	d, err := a.Inspect(ctx, ref)
	if err != nil {
		return err
	}
	turn := func() (func(), error) { return e.loop.Turn(ctx, networkTurn) }
	if d.Project != "" { // a command of it may take long, and nobody else is to wait for that
		turn = func() (func(), error) { return e.loop.Pass(ctx, d.Project) }
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
			who = append(who, fmt.Sprintf("name:%q id:%q", m.Name, wording.ShortID(m.ContainerID)))
		}
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("error while removing network: network %s has active endpoints (%s)", d.Name, strings.Join(who, ", ")))
	}
	if d.Project != "" {
		return a.removeOfProject(ctx, d)
	}
	ctx = context.WithoutCancel(ctx)
	raw, err := e.store.Get(bucketNetworks, d.Name)
	if err != nil && !errors.Is(err, errdefs.ErrNotFound) {
		return err
	}
	if err := e.store.Delete(bucketNetworks, d.Name); err != nil {
		return err
	}
	if err := e.drivers.Networks.Delete(ctx, d.Name); err != nil {
		if raw != nil {
			err = errors.Join(err, e.store.Put(bucketNetworks, d.Name, raw))
		}
		return err
	}
	e.hub.Say(nil, event.Event{Kind: "network", Name: d.Name, ID: d.ID, Phase: event.Done, Text: "Removed"})
	return nil
}

// removeOfProject is Remove of a network that a project has: not before the project is down, for it would come back. Precondition: its pass is held.
func (a AllNetworks) removeOfProject(ctx context.Context, d NetworkDetail) error {
	e := a.e
	r, err := e.wishes.Of(d.Project)
	if err != nil {
		return err
	}
	if r != nil && len(r.Wanted()) > 0 {
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot remove network %s: it is of project %s, which is not down; `stack --project-name %s down` removes it", d.Name, d.Project, d.Project))
	}
	return e.deleteNetwork(context.WithoutCancel(ctx), d.Project, d.Name, nil)
}

// Prune removes the networks that no container is on and none that there is would be, and that which says yes to. It gives their names.
func (a AllNetworks) Prune(ctx context.Context, which func(NetworkDetail) bool) ([]string, error) {
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
func (a AllNetworks) wanted(ctx context.Context) (map[string]bool, error) {
	list, err := inventory.List(ctx, a.e.drivers, "")
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
