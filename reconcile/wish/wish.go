// Package wish is what users have asked for of each project, as the store keeps it: the file of the last up, with the
// numbers of replicas given on the command line; the services that were brought up; the containers that a command has
// stopped; and the command that is under way. Healing, and the start after a reboot, do this and never more.
//
// May touch: the projects' bucket of the store.
package wish

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
)

// version of the record. It is raised when the meaning of a field changes, never when one is added.
const version = 1

// Record is the wish for one project. A project without a record is not wished for at all.
type Record struct {
	Scale map[string]int         // by service: replicas other than the file says
	Ports map[string][]plan.Port // by service: host ports that were chosen in place of the file's (plan.Port.Asked)
	Pass  *Pass                  // nil = none is under way

	// Old says that the record is of a program that wrote down nothing but the file. The other fields are empty then.
	Old bool

	services map[string]bool  // that were brought up, see Wanted
	off      map[plan.ID]bool // of these services: which a command has stopped, see IsOff
	owed     plan.Debts       // see Owed
	file     json.RawMessage  // of the last up. Most who change a record do not need to read it, and it is the bulk.
}

// Pass is a command that is being carried out. A daemon that finds one, without carrying it out itself, follows one that died in its
// middle.
type Pass struct {
	Verb    string          `json:"verb"` // up, start, stop, restart, down, rm, volumes
	Options json.RawMessage `json:"options,omitempty"`
	// Starts are those that the command is to make. A daemon that carries it on does not make those again that were made. nil: an old program's.
	Starts plan.Debts `json:"-"`
}

// onDisk is a Record as JSON. What old programs wrote has no "wish".
type onDisk struct {
	Version  int                    `json:"wish"`
	File     json.RawMessage        `json:"file"`
	Scale    map[string]int         `json:"scale,omitempty"`
	Services []string               `json:"services,omitempty"`
	Off      []string               `json:"off,omitempty"` // service/number
	Owed     []string               `json:"owed,omitempty"`
	OwedRuns map[string]time.Time   `json:"owedRuns,omitempty"` // when their runs began, see plan.Debt
	Ports    map[string][]plan.Port `json:"ports,omitempty"`
	Pass     *passOnDisk            `json:"pass,omitempty"`
}

type passOnDisk struct {
	Pass
	Starts map[string]time.Time `json:"starts,omitempty"` // when the runs before them began, see plan.Debt
	Killed map[string]time.Time `json:"killed,omitempty"` // plan.Debt.Killed of those that have one
}

// Decode reads a record.
func Decode(raw []byte) (*Record, error) {
	var d onDisk
	err := json.Unmarshal(raw, &d)
	if err != nil { // what an old program or a later one wrote may have other things under our names
		var head struct {
			Version int `json:"wish"`
		}
		if err := json.Unmarshal(raw, &head); err != nil {
			return nil, err
		}
		d.Version = head.Version
	}
	if d.Version == 0 {
		r := New()
		r.Old, r.file = true, raw
		_, err := r.File()
		return r, err
	}
	if d.Version != version {
		return nil, fmt.Errorf("it was written by another program: its version is %d, this one knows %d", d.Version, version)
	}
	if err != nil {
		return nil, err
	}
	if len(d.File) == 0 {
		return nil, errors.New("it holds no file")
	}
	r := New()
	r.file = d.File
	if d.Scale != nil {
		r.Scale = d.Scale
	}
	for _, s := range d.Services {
		r.services[s] = true
	}
	for _, text := range d.Off {
		id, err := parseID(text)
		if err != nil {
			return nil, err
		}
		r.off[id] = true
	}
	if r.owed, err = readDebts(d.Owed, d.OwedRuns); err != nil {
		return nil, err
	}
	if d.Pass != nil {
		r.Pass = &d.Pass.Pass
		if r.Pass.Starts, err = readDebts(slices.Collect(maps.Keys(d.Pass.Starts)), d.Pass.Starts); err != nil {
			return nil, err
		}
		for text, run := range d.Pass.Killed {
			id, err := parseID(text)
			if err != nil {
				return nil, err
			}
			debt := r.Pass.Starts[id]
			debt.Killed = run
			r.Pass.Starts[id] = debt
		}
	}
	r.Ports = d.Ports
	return r, nil
}

// New is a record of nothing. Apply gives it a file.
func New() *Record {
	return &Record{Scale: map[string]int{}, services: map[string]bool{}, off: map[plan.ID]bool{}, owed: plan.Debts{}}
}

// File is the file of the last up.
func (r *Record) File() (*spec.Project, error) {
	p := new(spec.Project)
	return p, json.Unmarshal(r.file, p)
}

// Raw is File, as it is written.
func (r *Record) Raw() []byte { return r.file }

// SetFile changes the file and nothing else.
func (r *Record) SetFile(p *spec.Project) error {
	raw, err := json.Marshal(p)
	if err == nil {
		r.file = raw
	}
	return err
}

// placeholder stands where the file goes. It comes before everything that a user has written.
var placeholder = json.RawMessage("null")

// Encode writes r. Equal records give equal text.
func (r *Record) Encode() ([]byte, error) {
	d := onDisk{Version: version, File: placeholder, Scale: r.Scale, Services: slices.Sorted(maps.Keys(r.services)), Off: names(r.off), Ports: r.Ports}
	d.Owed, d.OwedRuns = writeDebts(r.owed)
	if r.Pass != nil {
		d.Pass = &passOnDisk{Pass: *r.Pass}
		_, d.Pass.Starts = writeDebts(r.Pass.Starts)
		d.Pass.Killed = killed(r.Pass.Starts)
	}
	raw, err := json.Marshal(d)
	if err != nil || len(r.file) == 0 {
		return raw, err
	}
	// The file is JSON as json.Marshal writes it; given to Marshal as it is, it would be read and copied byte by byte.
	head, rest, _ := bytes.Cut(raw, placeholder)
	return slices.Concat(head, r.file, rest), nil
}

func names[V any](ids map[plan.ID]V) []string {
	var out []string
	for _, id := range slices.SortedFunc(maps.Keys(ids), plan.Compare) {
		out = append(out, nameOf(id))
	}
	return out
}

// Apply takes in an up of file: the numbers of replicas that it was given rule for the services that it was for; those of others stay.
// Services that the file does not have any more are forgotten.
func (r *Record) Apply(file *spec.Project, services []string, scale map[string]int) error {
	raw, err := json.Marshal(file)
	if err != nil {
		return err
	}
	r.file, r.Old = raw, false
	for _, s := range services {
		delete(r.Scale, s)
		if n, ok := scale[s]; ok && file.Services[s] != nil && n != file.Services[s].Replicas {
			r.Scale[s] = n
		}
	}
	gone := func(s string) bool { return file.Services[s] == nil }
	maps.DeleteFunc(r.Scale, func(s string, _ int) bool { return gone(s) })
	maps.DeleteFunc(r.services, func(s string, _ bool) bool { return gone(s) })
	r.forget(func(id plan.ID) bool { return gone(id.Name) })
	return nil
}

// BringUp wishes for services. Their containers are wished for, but for those of off.
func (r *Record) BringUp(services []string, off map[plan.ID]bool) {
	for _, s := range services {
		r.services[s] = true
		r.forget(func(id plan.ID) bool { return id.Name == s })
	}
	maps.Copy(r.off, off)
}

// Drop takes services out of what was brought up: somebody has taken them down.
func (r *Record) Drop(services ...string) {
	if len(services) > 0 {
		r.Ports = maps.Clone(r.Ports)
	}
	for _, s := range services {
		delete(r.services, s)
		delete(r.Ports, s)
		r.forget(func(id plan.ID) bool { return id.Name == s })
	}
}

// forget drops what is on record of single containers.
func (r *Record) forget(which func(plan.ID) bool) {
	maps.DeleteFunc(r.off, func(id plan.ID, _ bool) bool { return which(id) })
	maps.DeleteFunc(r.owed, func(id plan.ID, _ plan.Debt) bool { return which(id) })
}

// Wants says whether service was brought up.
func (r *Record) Wants(service string) bool { return r.services[service] }

// IsOff says whether a command has stopped id, which stays so until another one starts it.
func (r *Record) IsOff(id plan.ID) bool { return r.off[id] }

// AllOff are the containers of which IsOff is true. Read only.
func (r *Record) AllOff() map[plan.ID]bool { return r.off }

// Wanted are the services that were brought up, by name.
func (r *Record) Wanted() []string { return slices.Sorted(maps.Keys(r.services)) }
