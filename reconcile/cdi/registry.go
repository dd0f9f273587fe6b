package cdi

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
)

// Registry is what the files of this host offer.
type Registry struct {
	devices map[string]map[string]offer // by kind and name
	broken  []error                     // files that cannot be read
}

type offer struct {
	file   *file
	device *device
	rival  string // another file of the same directory that has the device too
}

// Load reads the files of dirs. One that cannot be read is no fault until somebody looks for a device that is nowhere else.
func Load(dirs ...string) *Registry {
	r := &Registry{devices: map[string]map[string]offer{}}
	for _, dir := range dirs {
		here := map[string]string{} // device to its file
		for _, path := range list(dir) {
			f, err := read(path)
			if err != nil {
				r.broken = append(r.broken, err)
				continue
			}
			if r.devices[f.Kind] == nil {
				r.devices[f.Kind] = map[string]offer{}
			}
			for i := range f.Devices {
				d := &f.Devices[i]
				name := f.Kind + "=" + d.Name
				r.devices[f.Kind][d.Name] = offer{file: f, device: d, rival: here[name]}
				here[name] = path
			}
		}
	}
	return r
}

// Request asks for devices. With Driver "cdi" IDs are full names (vendor.com/class=name); else they are names of a kind that Driver or
// Capabilities stand for. Count -1 = all; it is not read with IDs.
type Request struct {
	Driver       string
	Count        int64
	IDs          []string
	Capabilities []string
}

// vendors are the kinds of the drivers that docker knows for GPUs.
var vendors = map[string]string{"nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu"}

// Find gives what a container with the devices of q gets.
func (r *Registry) Find(q Request) (Edits, error) {
	names := q.IDs
	if q.Driver != "cdi" {
		kind, err := r.kind(q)
		if err != nil {
			return Edits{}, err
		}
		if names, err = r.pick(kind, q); err != nil {
			return Edits{}, err
		}
	}
	return r.edits(names)
}

// kind is the one that q means.
func (r *Registry) kind(q Request) (string, error) {
	if kind := vendors[q.Driver]; kind != "" {
		return kind, nil
	}
	if q.Driver != "" {
		return "", errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("cannot use the device driver %q: expected cdi, nvidia or amd", q.Driver))
	}
	if !slices.Contains(q.Capabilities, "gpu") {
		return "", errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("cannot find devices that can %s: without a driver only gpu is known; write driver: cdi and their names as device_ids", strings.Join(q.Capabilities, ", ")))
	}
	var kinds []string
	for kind := range r.devices {
		if strings.HasSuffix(kind, "/gpu") {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	switch {
	case len(kinds) == 1:
		return kinds[0], nil
	case len(kinds) == 0:
		return "", r.missing("a GPU")
	}
	return "", errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot choose a GPU of %s: write driver: nvidia or amd, or driver: cdi and its full name as device_ids", strings.Join(kinds, " and ")))
}

// pick names the devices of kind that q asks for.
func (r *Registry) pick(kind string, q Request) ([]string, error) {
	have := r.devices[kind]
	if len(have) == 0 {
		return nil, r.missing("a device of kind " + kind)
	}
	ids := q.IDs
	if len(ids) == 0 {
		numbered := slices.SortedFunc(maps.Keys(have), func(a, b string) int {
			x, _ := strconv.Atoi(a)
			y, _ := strconv.Atoi(b)
			return cmp.Or(cmp.Compare(x, y), strings.Compare(a, b))
		})
		// A device has several names: its number, an id, and with others "all".
		numbered = slices.DeleteFunc(numbered, func(s string) bool { _, err := strconv.ParseUint(s, 10, 31); return err != nil })
		_, all := have["all"]
		switch {
		case q.Count < 0 && all:
			ids = []string{"all"}
		case q.Count < 0 && len(numbered) > 0:
			ids = numbered
		case q.Count < 0:
			ids = slices.Sorted(maps.Keys(have))
		case int(q.Count) > len(numbered):
			return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot give %d devices of kind %s: there are %d", q.Count, kind, len(numbered)))
		default:
			ids = numbered[:q.Count]
		}
	}
	var names []string
	for _, id := range ids {
		names = append(names, kind+"="+id)
	}
	return names, nil
}

func (r *Registry) missing(what string) error {
	err := fmt.Errorf("cannot find %s: no file in %s describes one", what, strings.Join(Dirs, " or "))
	return errdefs.With(errdefs.ErrNotFound, errors.Join(append([]error{err}, r.broken...)...))
}
