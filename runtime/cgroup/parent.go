package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/runtime/proto"
)

// Options of a Parent. The zero value warns of what the host cannot apply.
type Options struct {
	// Strict makes a limit that the host cannot apply an error.
	Strict bool
}

// Parent is the directory of one instance in every tree that is used.
type Parent struct {
	host host
	name string
	opt  Options

	// mu is held shared by Create and exclusively by Prune, so that no parent goes away between its
	// making and that of its child.
	mu sync.RWMutex

	checked atomic.Bool // a parent that was there at the beginning has its controllers
}

// Open finds the trees of the host. name is one path element, "stack-<instance>". Nothing is made yet.
func Open(name string, opt Options) (*Parent, error) {
	if name == "" || strings.ContainsAny(name, "/") || name == ".." {
		return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot use %q as a cgroup's name", name))
	}
	h, err := readHost()
	if err != nil {
		return nil, err
	}
	return &Parent{host: h, name: name, opt: opt}, nil
}

// always are the controllers whose directory every container gets: memory for the OOM report, pids and devices for their
// limits, cpu so that containers share by container and not by process.
var always = []string{"memory", "pids", "devices", "cpu"}

// points are the mount points in which a container with settings s has a directory, cgroup2 first.
func (p *Parent) points(s []setting) []string {
	var out []string
	add := func(point string) {
		if point != "" && !slices.Contains(out, point) {
			out = append(out, point)
		}
	}
	add(p.host.v2) // for cgroup.kill, cgroup.freeze and cpu.stat, even when it has no controller
	for _, c := range always {
		add(p.host.v1[c])
	}
	if p.host.v2 == "" {
		add(p.host.v1["freezer"])
		add(p.host.v1["cpuacct"])
	}
	for _, x := range s {
		add(p.host.v1[x.controller])
	}
	return out
}

// Plan is how the cgroups of one container are going to be made.
type Plan struct {
	parent   *Parent
	id       string
	points   []string
	settings []setting
	devices  []specs.LinuxDeviceCgroup
	warnings []string
}

// Plan says where the cgroups of container id, with the limits of r, are going to be. Nothing is made yet.
func (p *Parent) Plan(id string, r *specs.LinuxResources) (*Plan, error) {
	if id == "" || strings.ContainsAny(id, "/") || id == ".." {
		return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot use %q as a cgroup's name", id))
	}
	if r == nil {
		r = &specs.LinuxResources{}
	}
	want, unknown := p.settings(r)
	return &Plan{p, id, p.points(want), want, r.Devices, unknown}, nil
}

// Group is where the cgroups are once they are made.
func (plan *Plan) Group() proto.Cgroup {
	p := plan.parent
	g := proto.Cgroup{OOM: p.oomFile(plan.id)}
	for _, point := range plan.points {
		dir := filepath.Join(point, p.name, plan.id)
		if point == p.host.v2 {
			g.V2 = dir
		} else {
			g.V1 = append(g.V1, dir)
		}
	}
	return g
}

// Make makes the cgroups, and says what of the limits it could not apply. The directories must not hold processes: empty ones of an earlier run are
// made anew, so that counters start at zero.
func (plan *Plan) Make() (warnings []string, err error) {
	p, id, points := plan.parent, plan.id, plan.points
	warnings = plan.warnings
	p.mu.RLock()
	defer p.mu.RUnlock()
	defer func() {
		if err != nil {
			for _, point := range points {
				unix.Rmdir(filepath.Join(point, p.name, id))
			}
		}
	}()
	if !p.checked.Load() {
		if dir := filepath.Join(p.host.v2, p.name); p.host.v2 != "" && exists(dir) {
			// Of an earlier daemon, which may have been killed between making it and this.
			if err := p.enableV2(always...); err != nil {
				return nil, fmt.Errorf("cannot set up cgroup %s: %w", dir, err)
			}
		}
		p.checked.Store(true)
	}
	for _, point := range points {
		dir := filepath.Join(point, p.name, id)
		if err := p.mkdir(point, dir); err != nil {
			return nil, fmt.Errorf("cannot make cgroup %s: %w", dir, err)
		}
	}
	if point := p.host.v1["cpuset"]; slices.Contains(points, point) {
		if err := inheritCpuset(filepath.Join(point, p.name, id)); err != nil {
			return nil, err
		}
	}
	for _, s := range plan.settings {
		w, err := p.apply(id, s)
		if err != nil {
			return nil, err
		}
		warnings = append(warnings, w...)
	}
	w, err := p.applyDevices(id, plan.devices)
	if err != nil {
		return nil, err
	}
	warnings = append(warnings, w...)
	if p.opt.Strict && len(warnings) > 0 {
		return nil, errdefs.With(errdefs.ErrNotSupported,
			fmt.Errorf("cannot apply the limits of container %.12s: %s", id, strings.Join(warnings, "; ")))
	}
	return warnings, nil
}

// oomFile counts the processes of id that were killed for memory, if its cgroup has the controller; "" where none can.
func (p *Parent) oomFile(id string) string {
	point, v2, ok := p.host.place("memory")
	if !ok {
		return ""
	}
	name := "memory.oom_control"
	if v2 {
		name = "memory.events"
	}
	return filepath.Join(point, p.name, id, name)
}

// Group is where the cgroups of id are; those that do not exist are left out.
func (p *Parent) Group(id string) proto.Cgroup {
	var g proto.Cgroup
	for _, point := range p.everyPoint() {
		dir := filepath.Join(point, p.name, id)
		if !exists(dir) {
			continue
		}
		if point == p.host.v2 {
			g.V2 = dir
		} else {
			g.V1 = append(g.V1, dir)
		}
	}
	g.OOM = p.oomFile(id)
	return g
}

// everyPoint is every mount point in which this package could have made something.
func (p *Parent) everyPoint() []string {
	var out []string
	if p.host.v2 != "" {
		out = append(out, p.host.v2)
	}
	for _, c := range v1Controllers {
		if m := p.host.v1[c]; m != "" && !slices.Contains(out, m) {
			out = append(out, m)
		}
	}
	return out
}

// mkdir makes dir below the parent at point, and the parent when it is not there.
func (p *Parent) mkdir(point, dir string) error {
	for range 3 {
		err := unix.Mkdir(dir, 0o755)
		switch {
		case err == nil:
			return nil
		case err == unix.ENOENT:
			if err := p.mkparent(point); err != nil {
				return err
			}
		case err == unix.EEXIST:
			// Of an earlier run that nobody could clean up after.
			if err := rmdirTree(dir); err != nil {
				if err == unix.EBUSY {
					return errdefs.With(errdefs.ErrConflict, errors.New("it still holds processes of an earlier run"))
				}
				return err
			}
		default:
			return err
		}
	}
	return unix.EAGAIN
}

func (p *Parent) mkparent(point string) error {
	dir := filepath.Join(point, p.name)
	if err := unix.Mkdir(dir, 0o755); err != nil && err != unix.EEXIST {
		return err
	}
	if point == p.host.v1["cpuset"] {
		return inheritCpuset(dir)
	}
	if point == p.host.v2 && len(p.host.v2Controllers) > 0 {
		return p.enableV2(always...)
	}
	return nil
}

// inheritCpuset fills a new v1 cpuset, which is born empty and refuses processes.
func inheritCpuset(dir string) error {
	for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(dir), f))
		if err == nil {
			err = writeFile(filepath.Join(dir, f), strings.TrimSpace(string(b)))
		}
		if err != nil {
			return fmt.Errorf("cannot set up cpuset %s: %w", dir, err)
		}
	}
	return nil
}

// enableV2 hands controllers down to the children of the parent, no others: what the root of the hierarchy hands down stays so when the last
// container is gone, for everybody (crun 1.8 starts nothing on a hybrid host whose cgroup2 has a controller in use). One that cannot be had (a
// real-time process keeps cpu, a process of an outer pid namespace keeps them all) is done without: whoever asks for its limits is told by apply.
func (p *Parent) enableV2(controllers ...string) error {
	for _, dir := range []string{p.host.v2, filepath.Join(p.host.v2, p.name)} {
		control := filepath.Join(dir, "cgroup.subtree_control")
		have, err := os.ReadFile(control)
		if err != nil {
			return err
		}
		on := strings.Fields(string(have))
		for _, c := range controllers {
			if slices.Contains(on, c) || !slices.Contains(p.host.v2Controllers, c) {
				continue
			}
			if err := writeFile(control, "+"+c); err == unix.EBUSY && dir == p.host.v2 && evacuate(dir) == nil {
				_ = writeFile(control, "+"+c)
			}
		}
	}
	return nil
}

// evacuate moves the processes of a delegated cgroup2 root into a leaf, as every nested engine has to: a cgroup
// that holds processes cannot give controllers to its children, the real root excepted
// (cgroup-v2.rst, "No Internal Process Constraint").
func evacuate(root string) error {
	leaf := filepath.Join(root, "init")
	if err := unix.Mkdir(leaf, 0o755); err != nil && err != unix.EEXIST {
		return err
	}
	for range 10 { // forks go on while we move
		pids, err := procs(root)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if err := writeFile(filepath.Join(leaf, "cgroup.procs"), fmt.Sprint(pid)); err != nil && err != unix.ESRCH {
				return err
			}
		}
	}
	return unix.EBUSY
}

// Remove removes the cgroups of id, waiting for dying processes: a cgroup stays busy until its
// last task is gone, a moment after its parent has reaped it, and v1 has no event for that.
// Not there = success.
func (p *Parent) Remove(ctx context.Context, id string) error {
	for _, point := range p.everyPoint() {
		dir := filepath.Join(point, p.name, id)
		delay := 200 * time.Microsecond
		for {
			err := rmdirTree(dir)
			if err == nil {
				break
			}
			if err != unix.EBUSY {
				return fmt.Errorf("cannot remove cgroup %s: %w", dir, err)
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("cannot remove cgroup %s: it still holds processes: %w", dir, ctx.Err())
			case <-time.After(delay):
				delay = min(2*delay, 20*time.Millisecond)
			}
		}
	}
	return nil
}

// List names the containers that have a cgroup.
func (p *Parent) List() ([]string, error) {
	var ids []string
	for _, point := range p.everyPoint() {
		entries, err := os.ReadDir(filepath.Join(point, p.name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot list cgroups: %w", err)
		}
		for _, e := range entries {
			if e.IsDir() && !slices.Contains(ids, e.Name()) {
				ids = append(ids, e.Name())
			}
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Prune removes the parent where it has no children.
func (p *Parent) Prune() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, point := range p.everyPoint() {
		unix.Rmdir(filepath.Join(point, p.name)) // EBUSY: in use
	}
}

// rmdirTree removes a cgroup with what a nested engine made in it, leaves first.
func rmdirTree(dir string) error {
	err := unix.Rmdir(dir)
	switch err {
	case nil, unix.ENOENT:
		return nil
	case unix.EBUSY, unix.ENOTEMPTY:
	default:
		return err
	}
	entries, rerr := os.ReadDir(dir)
	if rerr != nil {
		return err
	}
	below := false
	for _, e := range entries {
		if e.IsDir() {
			below = true
			if err := rmdirTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if !below {
		return err
	}
	if err := unix.Rmdir(dir); err != nil && err != unix.ENOENT {
		return err
	}
	return nil
}

func exists(path string) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil
}
