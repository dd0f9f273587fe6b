package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
)

// DefaultDevices is Docker's list: mknod of anything, use of the devices that every container has, and of its own
// terminals. Everything else is denied.
func DefaultDevices() []specs.LinuxDeviceCgroup {
	dev := func(kind string, major, minor int64, access string) specs.LinuxDeviceCgroup {
		d := specs.LinuxDeviceCgroup{Allow: true, Type: kind, Access: access}
		if major != every {
			d.Major = &major
		}
		if minor != every {
			d.Minor = &minor
		}
		return d
	}
	return []specs.LinuxDeviceCgroup{
		{Allow: false, Access: "rwm"},
		dev("c", every, every, "m"),
		dev("b", every, every, "m"),
		dev("c", 1, 3, "rwm"),       // null
		dev("c", 1, 5, "rwm"),       // zero
		dev("c", 1, 7, "rwm"),       // full
		dev("c", 1, 8, "rwm"),       // random
		dev("c", 1, 9, "rwm"),       // urandom
		dev("c", 5, 0, "rwm"),       // tty
		dev("c", 5, 1, "rwm"),       // console
		dev("c", 5, 2, "rwm"),       // ptmx
		dev("c", 136, every, "rwm"), // pts/*
		dev("c", 10, 200, "rwm"),    // net/tun
	}
}

// every stands for all major or minor number, "*" in devices.allow.
const every = -1

// access is a set of r, w and m, in the bits of BPF_DEVCG_ACC_*.
type access uint8

const (
	accessMknod access = 1 << iota
	accessRead
	accessWrite

	accessAll = accessMknod | accessRead | accessWrite
)

func parseAccess(s string) (access, error) {
	var a access
	for _, c := range s {
		switch c {
		case 'r':
			a |= accessRead
		case 'w':
			a |= accessWrite
		case 'm':
			a |= accessMknod
		default:
			return 0, fmt.Errorf("device access %q: want letters of rwm", s)
		}
	}
	return a, nil
}

func (a access) String() string {
	var s string
	if a&accessRead != 0 {
		s += "r"
	}
	if a&accessWrite != 0 {
		s += "w"
	}
	if a&accessMknod != 0 {
		s += "m"
	}
	return s
}

// device is what a rule is about.
type device struct {
	kind         byte // 'c' or 'b'
	major, minor int64
}

func (d device) String() string {
	n := func(v int64) string {
		if v == every {
			return "*"
		}
		return strconv.FormatInt(v, 10)
	}
	return fmt.Sprintf("%c %s:%s", d.kind, n(d.major), n(d.minor))
}

// overlaps says whether some device is meant by both.
func (d device) overlaps(o device) bool {
	meet := func(a, b int64) bool { return a == b || a == every || b == every }
	return d.kind == o.kind && meet(d.major, o.major) && meet(d.minor, o.minor)
}

// deviceSet is what a list of rules comes to: a default and its exceptions, which is all that v1 can hold.
type deviceSet struct {
	allow      bool // the default
	exceptions []deviceAccess
}

type deviceAccess struct {
	device
	access
}

// newDeviceSet plays rules in order, as a v1 kernel does
// (https://docs.kernel.org/admin-guide/cgroup-v1/devices.html). No rules = everything is allowed: the
// runtime-spec leaves the default to the runtime, and a Config without rules asked for no confinement.
func newDeviceSet(rules []specs.LinuxDeviceCgroup) (deviceSet, error) {
	set := deviceSet{allow: true}
	for _, r := range rules {
		acc, err := parseAccess(r.Access)
		if err != nil {
			return set, errdefs.With(errdefs.ErrInvalidArgument, err)
		}
		d := deviceAccess{device{major: every, minor: every}, acc}
		if r.Major != nil {
			d.major = *r.Major
		}
		if r.Minor != nil {
			d.minor = *r.Minor
		}
		switch r.Type {
		case "", "a":
			if d.major != every || d.minor != every || acc != accessAll {
				return set, errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("device rule of type a: only with every number and access rwm"))
			}
			set = deviceSet{allow: r.Allow}
			continue
		case "c", "u":
			d.kind = 'c'
		case "b":
			d.kind = 'b'
		default:
			return set, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("device type %q: want a, b or c", r.Type))
		}
		if r.Allow == set.allow {
			if err := set.except(d); err != nil {
				return set, err
			}
			continue
		}
		set.add(d)
	}
	return set, nil
}

func (s *deviceSet) add(d deviceAccess) {
	for i := range s.exceptions {
		if s.exceptions[i].device == d.device {
			s.exceptions[i].access |= d.access
			return
		}
	}
	s.exceptions = append(s.exceptions, d)
}

// except takes d out of the exceptions: it is as the default again.
func (s *deviceSet) except(d deviceAccess) error {
	kept := s.exceptions[:0]
	for _, e := range s.exceptions {
		switch {
		case e.device == d.device:
			e.access &^= d.access
		case e.overlaps(d.device) && e.access&d.access != 0:
			return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("device rule %s %s takes a part out of %s %s", d.device, d.access, e.device, e.access))
		}
		if e.access != 0 {
			kept = append(kept, e)
		}
	}
	s.exceptions = kept
	return nil
}

// applyDevices confines id to rules: by the v1 controller where it is mounted, else by a BPF program on cgroup2.
func (p *Parent) applyDevices(id string, rules []specs.LinuxDeviceCgroup) ([]string, error) {
	set, err := newDeviceSet(rules)
	if err != nil {
		return nil, fmt.Errorf("cannot set device rules: %w", err)
	}
	if set.allow && len(set.exceptions) == 0 {
		return nil, nil // a new cgroup has what its parent has
	}
	if point := p.host.v1["devices"]; point != "" {
		return set.applyV1(filepath.Join(point, p.name, id))
	}
	if p.host.v2 != "" {
		return set.attach(filepath.Join(p.host.v2, p.name, id))
	}
	return []string{"device rules: this host has neither the devices controller nor cgroup v2"}, nil
}

func (s deviceSet) applyV1(dir string) (warnings []string, err error) {
	first, then := "devices.allow", "devices.deny"
	if !s.allow {
		first, then = then, first
	}
	if err := writeFile(filepath.Join(dir, first), "a"); err != nil {
		return nil, fmt.Errorf("cannot set device rules: write a to %s/%s: %w", dir, first, err)
	}
	file, err := unix.Open(filepath.Join(dir, then), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot set device rules: open %s/%s: %w", dir, then, err)
	}
	defer unix.Close(file)
	refused := map[string]bool{}
	for _, e := range s.exceptions {
		rule := e.device.String() + " " + e.access.String()
		err := command(file, rule)
		if err == unix.EPERM && !s.allow {
			// The parent does not have it, as in a nested sandbox: less is allowed than was asked.
			warnings = append(warnings, "device rule "+rule+": the cgroup above does not allow it")
			refused[rule] = true
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot set device rule %q in %s/%s: %w", rule, dir, then, err)
		}
	}
	if s.allow {
		return warnings, nil // devices.list shows exceptions of an allow list only
	}
	b, err := os.ReadFile(filepath.Join(dir, "devices.list"))
	if err != nil {
		return nil, fmt.Errorf("cannot read back device rules: %w", err)
	}
	for _, e := range s.exceptions {
		rule := e.device.String() + " " + e.access.String()
		if !refused[rule] && !strings.Contains("\n"+string(b), "\n"+rule+"\n") {
			warnings = append(warnings, "device rule "+rule+": the kernel did not take it")
		}
	}
	return warnings, nil
}
