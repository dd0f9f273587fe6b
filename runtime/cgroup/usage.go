package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is what the processes of one container have used since its cgroups were made, those that have ended too. What this host does not count is 0.
type Usage struct {
	CPU           time.Duration
	Memory        uint64 // bytes, with the cache
	InactiveCache uint64 // of Memory: pages of files that nobody has used for a while
	MemoryLimit   uint64 // bytes; 0 = none
	Pids          uint64 // processes and their threads

	// IO says that the container has a cgroup which counts what goes to devices, see Create: on v1 only one with limits for them.
	IO            bool
	Read, Written uint64 // bytes
}

// Usage reads that of id. Not there = all zero.
func (p *Parent) Usage(id string) (u Usage, err error) {
	r := reader{parent: p, id: id}
	if p.host.v2 != "" {
		// cpu.stat is there without the cpu controller too (cgroup-v2.rst).
		r.lines(p.host.v2, "cpu.stat", func(f []string) {
			if f[0] == "usage_usec" {
				u.CPU = time.Duration(r.number(f[1])) * time.Microsecond
			}
		})
	} else if point := p.host.v1["cpuacct"]; point != "" {
		u.CPU = time.Duration(r.value(point, "cpuacct.usage"))
	}
	if point, v2, ok := p.host.place("memory"); ok {
		usage, limit, inactive := "memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file"
		if v2 {
			usage, limit, inactive = "memory.current", "memory.max", "inactive_file"
		}
		u.Memory = r.value(point, usage)
		if u.MemoryLimit = r.value(point, limit); u.MemoryLimit >= infinityV1 {
			u.MemoryLimit = 0
		}
		r.lines(point, "memory.stat", func(f []string) {
			if f[0] == inactive {
				u.InactiveCache = r.number(f[1])
			}
		})
	}
	if point, _, ok := p.host.place("pids"); ok {
		u.Pids = r.value(point, "pids.current")
	}
	r.io(&u)
	return u, r.err
}

// reader reads files of one container until the first that cannot be read. One that is not there says nothing.
type reader struct {
	parent *Parent
	id     string
	err    error
}

func (r *reader) read(point, file string) string {
	if r.err != nil {
		return ""
	}
	path := filepath.Join(point, r.parent.name, r.id, file)
	b, err := os.ReadFile(path)
	if err != nil && !gone(err) && !unsupported(err) {
		r.err = fmt.Errorf("cannot read what container %.12s uses: %w", r.id, err)
	}
	return string(b)
}

// unsupported is the error of files whose controller is compiled in and switched off (cgroup.disable).
func unsupported(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP)
}

// value is the only word of a file: a number, or no limit.
func (r *reader) value(point, file string) uint64 {
	word := strings.TrimSpace(r.read(point, file))
	if word == "" || word == unlimitedV2 {
		return 0
	}
	return r.number(word)
}

func (r *reader) number(word string) uint64 {
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("cannot read what container %.12s uses: %w", r.id, err)
	}
	return n
}

// lines calls each for the fields of every line with two or more.
func (r *reader) lines(point, file string, each func(fields []string)) {
	for line := range strings.Lines(r.read(point, file)) {
		if f := strings.Fields(line); len(f) >= 2 {
			each(f)
		}
	}
}

// io reads what has gone to and come from devices.
func (r *reader) io(u *Usage) {
	point, v2, ok := r.parent.host.place("blkio")
	if !ok {
		point, v2, ok = r.parent.host.place("io")
	}
	file := "io.stat" // "8:0 rbytes=1 wbytes=2 …"
	if !v2 {
		file = "blkio.throttle.io_service_bytes_recursive" // "8:0 Read 1"
	}
	if !ok || !exists(filepath.Join(point, r.parent.name, r.id, file)) {
		return
	}
	u.IO = true
	r.lines(point, file, func(f []string) {
		if !v2 {
			if len(f) == 3 && f[1] == "Read" {
				u.Read += r.number(f[2])
			} else if len(f) == 3 && f[1] == "Write" {
				u.Written += r.number(f[2])
			}
			return
		}
		for _, word := range f[1:] {
			switch key, n, _ := strings.Cut(word, "="); key {
			case "rbytes":
				u.Read += r.number(n)
			case "wbytes":
				u.Written += r.number(n)
			}
		}
	})
}
