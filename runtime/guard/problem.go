package guard

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/mountinfo"
	"github.com/stackrun/stack/runtime/container"
	"github.com/stackrun/stack/runtime/identity"
	"github.com/stackrun/stack/runtime/mount"
)

// Problem is State.Problem, and whether it takes a restart.
type Problem struct {
	Text    string
	Lasting bool

	// There is none yet and may be one by the next look, of which no event tells: the container has a directory mounted that was removed, and so holds
	// those that it was in, of whose end the kernel tells afterwards (IN_DELETE_SELF). What is made in their place is not watched.
	pending bool
}

// Problem is that of container c, which runs and whose init is init; warnings are of its last start, what they tell of is none. Precondition: drained.
func (g *Guard) Problem(c *container.Config, init identity.Process, warnings []string) Problem {
	look, last := g.take(c.ID)
	if !look {
		return last
	}
	found := g.examine(c, init, warnings)
	if found.Text != "" && !init.Alive() {
		found = Problem{} // it has ended meanwhile, and its things with it
	}
	g.found(c.ID, found)
	return found
}

func (g *Guard) examine(c *container.Config, init identity.Process, warnings []string) Problem {
	if missing := g.records.MissingOfRun(c.ID); missing != "" {
		return Problem{Text: missing + " was removed, by which it is found and attached to", Lasting: true}
	}
	what, err := g.cgroups.Verify(Made(c, warnings), init.Pid)
	if err != nil {
		return Problem{Text: "its cgroups cannot be read: " + err.Error()}
	}
	if what != "" {
		return Problem{Text: what}
	}
	table, err := g.mountTable(c.ID)
	if err != nil {
		return Problem{} // it is about to end
	}
	what, pending := missingMount(c, parseMountinfo(string(table)), func(target string) bool { return leadsToMount(init.Pid, target) })
	return Problem{Text: what, Lasting: what != "", pending: pending}
}

// mounted is a line of mountinfo.
type mounted struct {
	root   string // of the mount in its file system
	fstype string
}

// parseMountinfo reads proc_pid_mountinfo(5), by mount point. Of mounts stacked on one point the last counts.
func parseMountinfo(table string) map[string]mounted {
	all := map[string]mounted{}
	for line := range strings.Lines(table) {
		pre, post, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(pre), strings.Fields(post)
		if ok && len(left) >= 5 && len(right) >= 1 {
			all[mountinfo.Unescape(left[4])] = mounted{mountinfo.Unescape(left[3]), right[0]}
		}
	}
	return all
}

// removed ends the root of a mount whose directory was removed (fs/d_path.c, dentry_path).
const removed = "//deleted"

// missingMount says which mount of c is not in the table of its init. What the container itself has mounted, over ours too, is its own
// business. leadsTo says whether a path in the container, whose parts may be symlinks, is where something is mounted. pending is Problem's.
func missingMount(c *container.Config, table map[string]mounted, leadsTo func(string) bool) (what string, pending bool) {
	root, ok := table["/"]
	if !ok || len(c.Root) > 0 && c.Root[0].Type == "overlay" && root.fstype != "overlay" {
		return "", false // the process has given itself another root, from which ours is not seen (chroot)
	}
	for _, m := range c.Mounts {
		at, ok := table[filepath.Clean(m.Target)]
		switch {
		case !ok && !leadsTo(m.Target):
			return "nothing is mounted at " + m.Target, false
		case !ok || m.Type != "bind" || !strings.HasSuffix(at.root, removed):
		case isDir(source(m)):
			return fmt.Sprintf("what is mounted at %s is not %s any more, which was made anew", m.Target, source(m)), false
		default:
			pending = true
		}
	}
	return "", pending
}

func source(m mount.Mount) string { return filepath.Join(m.Source, m.Subpath) }

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// resolveTime is how long a lookup in a container may take. A file system of the container's own (FUSE) could let it hang for ever.
const resolveTime = time.Second

// leadsToMount says whether target, resolved in the root of process pid, is the root of a mount. Where that cannot be found out the
// answer is yes, for a container must not be taken for damaged on a guess.
func leadsToMount(pid int, target string) bool {
	answer := make(chan bool, 1)
	go func() { answer <- isMountRoot(pid, target) }()
	select {
	case is := <-answer:
		return is
	case <-time.After(resolveTime):
		return true
	}
}

func isMountRoot(pid int, target string) bool {
	root, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return true // it has ended
	}
	defer unix.Close(root)
	fd, err := unix.Openat2(root, strings.TrimPrefix(target, "/"), &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err == unix.ENOENT {
		return false
	}
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, 0, &st); err != nil || st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT == 0 {
		return true // a kernel before 5.8 does not say
	}
	return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
