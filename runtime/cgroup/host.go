package cgroup

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/mountinfo"
)

// mount is one line of mountinfo that is a cgroup tree.
type mount struct {
	root, point string
	v2          bool
	controllers []string // v1 only
}

// v1Controllers are those that this package writes to. A tree with none of them (name=systemd) is left alone:
// the processes of a container stay where the daemon is, as with any child of a service.
var v1Controllers = []string{"memory", "pids", "devices", "cpu", "cpuacct", "cpuset", "blkio", "hugetlb", "freezer"}

// parseMounts reads /proc/self/mountinfo, proc_pid_mountinfo(5). Of mounts stacked on one
// point the last is the one that a path reaches.
func parseMounts(r io.Reader) ([]mount, error) {
	var out []mount
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20) // an overlay's options are one long line
	for s.Scan() {
		pre, post, ok := strings.Cut(s.Text(), " - ")
		left, right := strings.Fields(pre), strings.Fields(post)
		if !ok || len(left) < 5 || len(right) < 3 {
			continue
		}
		m := mount{root: mountinfo.Unescape(left[3]), point: mountinfo.Unescape(left[4])}
		out = slices.DeleteFunc(out, func(o mount) bool { return o.point == m.point })
		switch right[0] {
		case "cgroup2":
			m.v2 = true
		case "cgroup":
			for o := range strings.SplitSeq(right[2], ",") {
				if slices.Contains(v1Controllers, o) {
					m.controllers = append(m.controllers, o)
				}
			}
		default:
			continue
		}
		out = append(out, m)
	}
	return out, s.Err()
}

// host is where the trees are: mount points that this process can reach.
type host struct {
	v2            string            // "" = not mounted
	v2Controllers []string          // what cgroup2 has to give at its mount point
	v1            map[string]string // controller → mount point
}

func readHost() (host, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return host{}, fmt.Errorf("cannot find the cgroup trees: %w", err)
	}
	defer f.Close()
	mounts, err := parseMounts(f)
	if err != nil {
		return host{}, fmt.Errorf("cannot read /proc/self/mountinfo: %w", err)
	}
	h := host{v1: map[string]string{}}
	for _, m := range mounts {
		// A root above this process's cgroup namespace shows as "/..": that mount came in from
		// outside and is not ours to write to.
		if strings.HasPrefix(m.root, "/..") || !reaches(m) {
			continue
		}
		if m.v2 {
			if h.v2 == "" {
				h.v2 = m.point
			}
			continue
		}
		for _, c := range m.controllers {
			if h.v1[c] == "" {
				h.v1[c] = m.point
			}
		}
	}
	if h.v2 != "" {
		b, err := os.ReadFile(filepath.Join(h.v2, "cgroup.controllers"))
		if err != nil {
			return host{}, fmt.Errorf("cannot read the controllers of cgroup2: %w", err)
		}
		h.v2Controllers = strings.Fields(string(b))
	}
	return h, nil
}

// reaches says whether the mount point leads to the tree and not to something mounted over it.
func reaches(m mount) bool {
	var st unix.Statfs_t
	if unix.Statfs(m.point, &st) != nil {
		return false
	}
	if m.v2 {
		return st.Type == unix.CGROUP2_SUPER_MAGIC
	}
	return st.Type == unix.CGROUP_SUPER_MAGIC
}

// place says where a controller is.
func (h host) place(controller string) (point string, v2, ok bool) {
	if p := h.v1[controller]; p != "" {
		return p, false, true
	}
	if slices.Contains(h.v2Controllers, controller) {
		return h.v2, true, true
	}
	return "", false, false
}
