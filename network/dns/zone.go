package dns

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Host is a container on one network. Names are matched without regard to case.
type Host struct {
	ID    string
	Names []string // the first one is what its address resolves back to
	Addr4 netip.Addr
	Addr6 netip.Addr
}

// Zone holds the names of one network. Safe for concurrent use; readers take no lock.
type Zone struct {
	network string
	subnets []netip.Prefix

	// table is what readers see, never changed once it is there; nil = stale. Building it is left to the first reader,
	// so that bringing up n containers does not copy n tables.
	table atomic.Pointer[table]

	mu    sync.Mutex
	hosts map[string]Host
}

type table struct {
	names map[string]*records
	addrs map[netip.Addr]string
}

// records are the addresses of one name as they go into an answer.
type records struct {
	v4, v6 [][]byte
	turn   atomic.Uint32
}

// NewZone makes the empty zone of network; subnets are those whose addresses are never asked for elsewhere.
func NewZone(network string, subnets []netip.Prefix) *Zone {
	return &Zone{network: strings.ToLower(network), subnets: subnets, hosts: map[string]Host{}}
}

// Add puts h into the zone, in place of an earlier one with its ID.
func (z *Zone) Add(h Host) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.hosts[h.ID] = h
	z.table.Store(nil)
}

// Remove takes the host id out. An unknown one is success.
func (z *Zone) Remove(id string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	delete(z.hosts, id)
	z.table.Store(nil)
}

func (z *Zone) load() *table {
	if t := z.table.Load(); t != nil {
		return t
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if t := z.table.Load(); t != nil {
		return t
	}
	t := &table{names: make(map[string]*records, 3*len(z.hosts)), addrs: make(map[netip.Addr]string, len(z.hosts))}
	for _, id := range slices.Sorted(maps.Keys(z.hosts)) {
		h := z.hosts[id]
		seen := map[string]bool{}
		for _, n := range h.Names {
			n = strings.ToLower(strings.TrimSuffix(n, "."))
			if n == "" || seen[n] {
				continue
			}
			seen[n] = true
			r := t.names[n]
			if r == nil {
				r = new(records)
				t.names[n] = r
			}
			if h.Addr4.IsValid() {
				r.v4 = append(r.v4, h.Addr4.AsSlice())
			}
			if h.Addr6.IsValid() {
				r.v6 = append(r.v6, h.Addr6.AsSlice())
			}
		}
		if len(h.Names) > 0 {
			for _, a := range []netip.Addr{h.Addr4, h.Addr6} {
				if a.IsValid() {
					t.addrs[a] = h.Names[0] + "." + z.network
				}
			}
		}
	}
	z.table.Store(t)
	return t
}

// find looks name up, also as name.network, which docker answers too.
func (z *Zone) find(name []byte) *records {
	t := z.load()
	if r := t.names[string(name)]; r != nil {
		return r
	}
	if n := len(name) - len(z.network) - 1; n > 0 && name[n] == '.' && string(name[n+1:]) == z.network {
		return t.names[string(name[:n])]
	}
	return nil
}

func (z *Zone) owns(a netip.Addr) bool {
	for _, p := range z.subnets {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
