package sandbox

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// hierarchy is one mounted cgroup tree of the host.
type hierarchy struct {
	mountpoint string
	fstype     string   // cgroup or cgroup2
	options    []string // v1: controllers and name=…
}

func (h hierarchy) has(controller string) bool {
	for _, o := range h.options {
		if o == controller {
			return true
		}
	}
	return false
}

// hierarchies reads the mounts of /proc/self/mountinfo that are cgroups. One per tree.
func hierarchies() ([]hierarchy, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []hierarchy
	seen := map[string]bool{}
	s := bufio.NewScanner(f)
	for s.Scan() {
		pre, post, ok := strings.Cut(s.Text(), " - ")
		if !ok {
			continue
		}
		l, r := strings.Fields(pre), strings.Fields(post)
		if len(l) < 5 || len(r) < 3 || (r[0] != "cgroup" && r[0] != "cgroup2") {
			continue
		}
		if seen[l[2]] { // major:minor names the tree
			continue
		}
		seen[l[2]] = true
		h := hierarchy{mountpoint: l[4], fstype: r[0]}
		for o := range strings.SplitSeq(r[2], ",") {
			switch o {
			case "rw", "ro", "xattr", "clone_children", "nsdelegate":
			default:
				if !strings.HasPrefix(o, "release_agent") && !strings.HasPrefix(o, "memory_") {
					h.options = append(h.options, o)
				}
			}
		}
		out = append(out, h)
	}
	return out, s.Err()
}

// inheritCpuset fills a new v1 cpuset, which is born empty and refuses processes.
func inheritCpuset(dir string) {
	for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
		if b, err := os.ReadFile(filepath.Join(filepath.Dir(dir), f)); err == nil {
			os.WriteFile(filepath.Join(dir, f), b, 0)
		}
	}
}

// mountCgroups mounts each tree of the host again below /sys/fs/cgroup, from inside the cgroup
// namespace: its root is the sandbox's own parent, the rest of the host is out of sight.
func mountCgroups() error {
	// The host's mounts are still in this namespace's table, below the new sysfs.
	hier, err := hierarchies()
	if err != nil {
		return err
	}
	const base = "/sys/fs/cgroup"
	if len(hier) == 1 && hier[0].fstype == "cgroup2" {
		if err := unix.Mount("cgroup2", base, "cgroup2", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
			return err
		}
		return enterLeaf(base)
	}
	if err := unix.Mount("tmpfs", base, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=755"); err != nil {
		return err
	}
	for _, h := range hier {
		dir := filepath.Join(base, filepath.Base(h.mountpoint))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		data := ""
		if h.fstype == "cgroup" {
			data = strings.Join(h.options, ",")
		}
		if err := unix.Mount(h.fstype, dir, h.fstype, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, data); err != nil {
			return fmt.Errorf("mount %s (%s) on %s: %w", h.fstype, data, dir, err)
		}
		if h.fstype == "cgroup2" {
			if err := enterLeaf(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// enterLeaf moves this process from the root of its cgroup2 namespace into a leaf, because a cgroup
// that holds processes cannot give controllers to its children (cgroup-v2.rst, "No Internal Process Constraint").
func enterLeaf(root string) error {
	leaf := filepath.Join(root, "tests")
	if err := os.Mkdir(leaf, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte("0"), 0)
}

// removeCgroups removes dir and what is below, leaves first. Dying processes hold a
// cgroup for a moment after they were reaped, and the kernel has no event for its end on v1.
func removeCgroups(dir string) {
	deadline := time.Now().Add(Patience)
	for {
		var dirs []string
		filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, p)
			}
			return nil
		})
		for i := len(dirs) - 1; i >= 0; i-- {
			unix.Rmdir(dirs[i])
		}
		if _, err := os.Lstat(dir); os.IsNotExist(err) || time.Now().After(deadline) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}
