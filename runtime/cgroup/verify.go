package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Made is what Create was asked for and what it said: the record against which the host is held.
type Made struct {
	ID        string
	Resources *specs.LinuxResources
	Warnings  []string // of Create, others among them: what they name was never applied, and is not missed
}

// excuses says whether the start has told that what could not be applied.
func (m Made) excuses(what string) bool {
	return slices.ContainsFunc(m.Warnings, func(w string) bool { return strings.HasPrefix(w, what+":") })
}

func (p *Parent) wanted(m Made) []setting {
	if m.Resources == nil {
		return nil
	}
	all, _ := p.settings(m.Resources)
	return all
}

// file is the file of s for container id, by the name that this kernel has for it.
func (p *Parent) file(id string, s setting) (setting, string) {
	point, _, _ := p.host.place(s.controller)
	path := filepath.Join(point, p.name, id, s.file)
	if s.alternative != nil && !exists(path) {
		return p.file(id, *s.alternative)
	}
	return s, path
}

// Verify says in one clause what of the cgroups of m is not as recorded; "" = nothing. pid is the container's init.
func (p *Parent) Verify(m Made, pid int) (string, error) {
	want := p.wanted(m)
	for _, point := range p.points(want) {
		if dir := filepath.Join(point, p.name, m.ID); !exists(dir) {
			return "its cgroup " + dir + " is gone", nil
		}
	}
	if out, err := p.strayed(m.ID, pid, want); out != "" || err != nil {
		return out, err
	}
	for _, s := range want {
		if m.excuses(s.what) {
			continue
		}
		s, path := p.file(m.ID, s)
		got, err := readValue(path)
		if errors.Is(err, fs.ErrNotExist) {
			return s.what + " is gone, recorded is " + s.show(s.value), nil
		}
		if err != nil {
			return "", fmt.Errorf("cannot read %s: %w", s.what, err)
		}
		if !s.holds(got) {
			return fmt.Sprintf("%s is %s, recorded is %s", s.what, s.show(got), s.show(s.value)), nil
		}
	}
	return p.verifyDevices(m)
}

// strayed says which of the cgroups of id its init is not in.
func (p *Parent) strayed(id string, pid int, want []setting) (string, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return "", err
	}
	own := "/" + p.name + "/" + id
	for line := range strings.Lines(string(b)) {
		// "0::/path" for cgroup2, "4:cpu,cpuacct:/path" for v1, cgroups(7).
		f := strings.SplitN(strings.TrimRight(line, "\n"), ":", 3)
		if len(f) != 3 {
			continue
		}
		point := p.host.v2
		if f[1] != "" {
			point = ""
			for c := range strings.SplitSeq(f[1], ",") {
				if p.host.v1[c] != "" {
					point = p.host.v1[c]
				}
			}
		}
		// What it makes for itself is below its own.
		inside := strings.HasSuffix(f[2], own) || strings.Contains(f[2], own+"/")
		if point != "" && slices.Contains(p.points(want), point) && !inside {
			if f[1] != "" && f[2] == "/" && exiting(pid) {
				return "", nil
			}
			return fmt.Sprintf("its process is in cgroup %s of %s, recorded is %s", f[2], point, own), nil
		}
	}
	return "", nil
}

// exiting says that pid has begun to end, which can take a while: v1 shows it at the root of each hierarchy from then on (proc_cgroup_show).
func exiting(pid int) bool {
	const flagExiting = 0x4 // PF_EXITING, include/linux/sched.h: field 9 of proc_pid_stat(5)
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true // it has ended
	}
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 7 {
		return false
	}
	flags, err := strconv.ParseUint(string(f[6]), 10, 64)
	return err == nil && flags&flagExiting != 0
}

// verifyDevices is Verify for the rules of the v1 controller. A filter of cgroup2 has no file: who detaches it is not noticed.
func (p *Parent) verifyDevices(m Made) (string, error) {
	point := p.host.v1["devices"]
	if point == "" || m.Resources == nil {
		return "", nil
	}
	set, err := newDeviceSet(m.Resources.Devices)
	if err != nil || set.allow {
		return "", nil // devices.list shows exceptions of an allow list only
	}
	got, err := readValue(filepath.Join(point, p.name, m.ID, "devices.list"))
	if err != nil {
		return "", fmt.Errorf("cannot read device rules: %w", err)
	}
	have := strings.Split(got, "\n")
	for _, e := range set.exceptions {
		rule := e.device.String() + " " + e.access.String()
		if i := slices.Index(have, rule); i >= 0 {
			have = slices.Delete(have, i, i+1)
		} else if !m.excuses("device rule " + rule) {
			return fmt.Sprintf("device rule %s is gone", rule), nil
		}
	}
	have = slices.DeleteFunc(have, func(line string) bool { return line == "" })
	if len(have) > 0 {
		return fmt.Sprintf("devices allowed are %s too", strings.Join(have, ", ")), nil
	}
	return "", nil
}

// Files are those whose content Verify compares, for who wants to know when they are written.
func (p *Parent) Files(m Made) (paths []string) {
	for _, s := range p.wanted(m) {
		if !m.excuses(s.what) {
			_, path := p.file(m.ID, s)
			paths = append(paths, path)
		}
	}
	if point := p.host.v1["devices"]; point != "" {
		dir := filepath.Join(point, p.name, m.ID)
		paths = append(paths, filepath.Join(dir, "devices.allow"), filepath.Join(dir, "devices.deny"))
	}
	return paths
}

// Parents are the directories in which those of all containers are; some may not exist.
func (p *Parent) Parents() (dirs []string) {
	for _, point := range p.everyPoint() {
		dirs = append(dirs, filepath.Join(point, p.name))
	}
	return dirs
}

// Restore makes the cgroups of m again that are gone, moves processes into them, and sets limits again that are not as recorded. processes
// lists those of the container; it is asked until it names no new one, for they fork meanwhile.
func (p *Parent) Restore(m Made, pid int, processes func() ([]int, error)) error {
	want := p.wanted(m)
	p.mu.RLock()
	defer p.mu.RUnlock()
	var fresh []string
	for _, point := range p.points(want) {
		dir := filepath.Join(point, p.name, m.ID)
		if exists(dir) {
			continue
		}
		if err := p.mkdir(point, dir); err != nil {
			return fmt.Errorf("cannot make cgroup %s: %w", dir, err)
		}
		if point == p.host.v1["cpuset"] {
			if err := inheritCpuset(dir); err != nil {
				return err
			}
		}
		fresh = append(fresh, dir)
	}
	if err := p.reset(m, want); err != nil {
		return err
	}
	if m.Resources != nil {
		problem, err := p.verifyDevices(m)
		if err != nil {
			return err
		}
		if problem != "" || slices.Contains(fresh, filepath.Join(p.host.v2, p.name, m.ID)) {
			if _, err := p.applyDevices(m.ID, m.Resources.Devices); err != nil {
				return err
			}
		}
	}
	out, err := p.strayed(m.ID, pid, want)
	if err != nil || out == "" {
		return err
	}
	return p.gather(m.ID, p.points(want), processes)
}

// reset sets the limits that are not as recorded. Twice, because one may stand in the way of another: memory is never above memory+swap.
func (p *Parent) reset(m Made, want []setting) error {
	var last error
	for range 2 {
		last = nil
		for _, s := range want {
			if m.excuses(s.what) {
				continue
			}
			_, path := p.file(m.ID, s)
			if got, err := readValue(path); err == nil && s.holds(got) {
				continue
			}
			warnings, err := p.apply(m.ID, s)
			if err == nil && len(warnings) > 0 {
				err = errors.New(strings.Join(warnings, "; "))
			}
			if err != nil {
				last = err
			}
		}
		if last == nil {
			return nil
		}
	}
	return last
}

// gather moves processes into the cgroups of id.
func (p *Parent) gather(id string, points []string, processes func() ([]int, error)) error {
	moved := map[int]bool{}
	for {
		all, err := processes()
		if err != nil {
			return err
		}
		again := false
		for _, pid := range all {
			if moved[pid] {
				continue
			}
			moved[pid], again = true, true
			for _, point := range points {
				dir := filepath.Join(point, p.name, id)
				err := writeFile(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid))
				if err != nil && err != unix.ESRCH {
					return fmt.Errorf("cannot move process %d into cgroup %s: %w", pid, dir, err)
				}
			}
		}
		if !again {
			return nil
		}
	}
}

func readValue(path string) (string, error) {
	b, err := os.ReadFile(path)
	return strings.TrimSpace(string(b)), err
}
