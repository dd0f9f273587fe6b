package cgroup

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/kernelfile"
)

// Freeze stops every process of id, or lets them go on, and returns when the kernel has done so. fs.ErrNotExist when there is nothing to freeze, or no more.
func (p *Parent) Freeze(ctx context.Context, id string, frozen bool) error {
	verb := "thaw"
	if frozen {
		verb = "freeze"
	}
	file, value, want := p.freezer(id, frozen)
	if file == "" {
		return fmt.Errorf("cannot %s cgroup %s/%s: this host has no freezer", verb, p.name, id)
	}
	if err := writeFile(file, value); err != nil {
		return fmt.Errorf("cannot %s cgroup %s/%s: %w", verb, p.name, id, err)
	}
	delay := 100 * time.Microsecond
	for {
		is, err := p.Frozen(id)
		if err != nil || is == want {
			return err
		}
		// v1: "the write may be repeated", a fork in the middle keeps FREEZING
		// (cgroup-v1/freezer-subsystem.rst).
		if err := writeFile(file, value); gone(err) { // its last process has ended, and it was removed
			return fmt.Errorf("cannot %s cgroup %s/%s: %w", verb, p.name, id, fs.ErrNotExist)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("cannot %s cgroup %s/%s: %w", verb, p.name, id, ctx.Err())
		case <-time.After(delay):
			delay = min(2*delay, 10*time.Millisecond)
		}
	}
}

// Frozen says whether id is frozen. Not there = no.
func (p *Parent) Frozen(id string) (bool, error) {
	var room [128]byte // two lines
	if p.host.v2 != "" {
		b, err := kernelfile.Read(filepath.Join(p.host.v2, p.name, id, "cgroup.events"), room[:])
		if err == nil {
			return strings.Contains(string(b), "frozen 1"), nil
		}
		if !gone(err) {
			return false, err
		}
	}
	if point := p.host.v1["freezer"]; point != "" {
		b, err := kernelfile.Read(filepath.Join(point, p.name, id, "freezer.state"), room[:])
		if gone(err) {
			return false, nil
		}
		return strings.TrimSpace(string(b)) == "FROZEN", err
	}
	return false, nil
}

// Staying says whether id, which Frozen says is not, can only become so by a write to one of FreezerFiles. It is no between such a write and
// the moment when the kernel has frozen all.
func (p *Parent) Staying(id string) (bool, error) {
	var room [16]byte
	for _, file := range p.FreezerFiles(id) {
		b, err := kernelfile.Read(file, room[:])
		if gone(err) {
			continue
		}
		if word := strings.TrimSpace(string(b)); err != nil || word != "0" && word != "THAWED" {
			return false, err
		}
	}
	return true, nil
}

// FreezerFiles are those by which id is frozen and thawed: its own and that of all containers. Some may not exist.
func (p *Parent) FreezerFiles(id string) (files []string) {
	for _, point := range []struct{ dir, file string }{{p.host.v2, "cgroup.freeze"}, {p.host.v1["freezer"], "freezer.state"}} {
		if point.dir != "" {
			files = append(files, filepath.Join(point.dir, p.name, id, point.file), filepath.Join(point.dir, p.name, point.file))
		}
	}
	return files
}

func (p *Parent) freezer(id string, frozen bool) (file, value string, want bool) {
	if p.host.v2 != "" {
		f := filepath.Join(p.host.v2, p.name, id, "cgroup.freeze") // Linux 5.2
		if unix.Access(f, unix.W_OK) == nil {
			if frozen {
				return f, "1", true
			}
			return f, "0", false
		}
	}
	if point := p.host.v1["freezer"]; point != "" {
		f := filepath.Join(point, p.name, id, "freezer.state")
		if frozen {
			return f, "FROZEN", true
		}
		return f, "THAWED", false
	}
	return "", "", false
}
