package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// setting is one file of one controller that gets one value.
type setting struct {
	controller string // name on v1; place decides which version is spoken
	what       string // for messages: "memory limit"
	file       string
	value      string
	// same says whether the kernel holds what was asked; nil = same text.
	same  func(want, got string) bool
	bytes bool // value counts bytes
	// alternative is used where file does not exist (a controller's name changed between kernels).
	alternative *setting
}

// holds says whether got, as the kernel writes it, is what was asked for.
func (s setting) holds(got string) bool {
	if s.same == nil {
		return got == s.value
	}
	return s.same(s.value, got)
}

// show is a value of s for people.
func (s setting) show(value string) string {
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case !s.bytes || err != nil:
		return value
	case n < 0 || n >= infinityV1:
		return "unlimited"
	}
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for n != 0 && n%1024 == 0 && i < len(units)-1 {
		n, i = n/1024, i+1
	}
	return fmt.Sprintf("%d %s", n, units[i])
}

// settings turns r into files, for the version in which each controller is mounted, and says
// what has no place on this host.
func (p *Parent) settings(r *specs.LinuxResources) (out []setting, missing []string) {
	for _, t := range translators {
		var s []setting
		var bad []string
		have := true
		switch {
		case p.host.v1[t.v1Name] != "":
			s, bad = t.v1(r)
		case slices.Contains(p.host.v2Controllers, t.v2Name):
			s, bad = t.v2(r)
		default:
			s, _ = t.v2(r)
			have = false
		}
		missing = append(missing, bad...)
		for _, x := range s {
			if have {
				out = append(out, x)
			} else {
				missing = append(missing, fmt.Sprintf("%s: this host has no %s controller", x.what, t.v1Name))
			}
		}
	}
	return out, append(missing, refused(r)...)
}

// apply writes s and reads it back.
func (p *Parent) apply(id string, s setting) (warnings []string, err error) {
	point, v2, _ := p.host.place(s.controller)
	path := filepath.Join(point, p.name, id, s.file)
	err = writeFile(path, s.value)
	if err == unix.ENOENT && v2 && !p.has(id, s.controller) {
		if err := p.enableV2(s.controller); err != nil {
			return nil, fmt.Errorf("cannot set %s: %w", s.what, err)
		}
		err = writeFile(path, s.value)
	}
	if err == unix.ENOENT && s.alternative != nil {
		return p.apply(id, *s.alternative)
	}
	switch {
	case err == nil:
	case err == unix.ENOENT && v2 && !p.has(id, s.controller):
		return []string{fmt.Sprintf("%s: the cgroups above do not hand the %s controller down, see %s", s.what, s.controller,
			filepath.Join(point, "cgroup.subtree_control"))}, nil
	case err == unix.ENOENT, err == unix.EOPNOTSUPP:
		return []string{fmt.Sprintf("%s: this kernel has no %s", s.what, s.file)}, nil
	default:
		return nil, fmt.Errorf("cannot set %s to %q in %s: %w", s.what, s.value, path, err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read back %s: %w", s.what, err)
	}
	got := strings.TrimSpace(string(b))
	if !s.holds(got) {
		return []string{fmt.Sprintf("%s: asked for %s, the kernel holds %s", s.what, s.value, got)}, nil
	}
	return nil, nil
}

// has says whether id's cgroup2 has the controller.
func (p *Parent) has(id, controller string) bool {
	b, err := os.ReadFile(filepath.Join(p.host.v2, p.name, id, "cgroup.controllers"))
	return err == nil && slices.Contains(strings.Fields(string(b)), controller)
}

// writeFile writes value to a file of the cgroup file system with one write(2), for each write is one command
// there, and returns the bare errno.
func writeFile(path, value string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return command(fd, value)
}

// command writes value to the open file fd as writeFile does.
func command(fd int, value string) error {
	for {
		_, err := unix.Write(fd, []byte(value))
		if err != unix.EINTR {
			return err
		}
	}
}
