package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Snapshot is what a test could leave behind: one sorted line per object.
type Snapshot struct {
	Links, Addrs, Routes, Nft, Mounts, Cgroups, Processes, Files, Sysctls []string
}

// sysctls that the platform may turn on for the host and must turn back.
var watchedSysctls = []string{
	"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv4/conf/all/route_localnet",
}

// Take reads the kernel. Files are listed below each of dirs that exists.
func Take(dirs ...string) (Snapshot, error) {
	for {
		s, err := take(dirs)
		// A list that changed while it was read is read again (NLM_F_DUMP_INTR, netlink(7)).
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return s, err
		}
	}
}

func take(dirs []string) (Snapshot, error) {
	var s Snapshot
	links, err := netlink.LinkList()
	if err != nil {
		return s, err
	}
	for _, l := range links {
		s.Links = append(s.Links, l.Attrs().Name+" "+l.Type())
		addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		if err != nil {
			return s, err
		}
		for _, a := range addrs {
			s.Addrs = append(s.Addrs, l.Attrs().Name+" "+a.IPNet.String())
		}
	}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return s, err
	}
	for _, r := range routes {
		s.Routes = append(s.Routes, r.String())
	}
	conn, err := nftables.New()
	if err != nil {
		return s, err
	}
	tables, err := conn.ListTables()
	if err != nil {
		return s, err
	}
	for _, t := range tables {
		s.Nft = append(s.Nft, fmt.Sprintf("%d %s", t.Family, t.Name))
	}
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 4 {
			s.Mounts = append(s.Mounts, f[4])
		}
	}
	var instances map[string]bool // of daemons
	if s.Processes, instances, err = processes(); err != nil {
		return s, err
	}
	hier, err := hierarchies()
	if err != nil {
		return s, err
	}
	for _, h := range hier {
		filepath.WalkDir(h.mountpoint, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && !spare(p, instances) {
				s.Cgroups = append(s.Cgroups, p)
			}
			return nil
		})
	}
	for _, dir := range dirs {
		filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err == nil {
				s.Files = append(s.Files, p)
			}
			return nil
		})
	}
	for _, k := range watchedSysctls {
		v, _ := os.ReadFile("/proc/sys/" + k)
		s.Sysctls = append(s.Sysctls, k+"="+strings.TrimSpace(string(v)))
	}
	for _, l := range []*[]string{&s.Links, &s.Addrs, &s.Routes, &s.Nft, &s.Mounts, &s.Cgroups, &s.Processes, &s.Files} {
		slices.Sort(*l)
	}
	return s, nil
}

// spare says whether dir is the own cgroup of one of instances, in which nothing is: a daemon keeps it for a moment after its last
// container, and removes it when it ends.
func spare(dir string, instances map[string]bool) bool {
	if instance, ok := strings.CutPrefix(filepath.Base(dir), "stack-"); !ok || !instances[instance] {
		return false
	}
	below, err := os.ReadDir(dir)
	procs, perr := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err := errors.Join(err, perr); err != nil {
		return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) // removed since it was listed
	}
	return len(procs) == 0 && !slices.ContainsFunc(below, fs.DirEntry.IsDir)
}

// Diff says what is other in after, "" = nothing. Of processes only new ones are a difference: s may have been taken while one was about to end,
// or to become another program.
func (s Snapshot) Diff(after Snapshot) string {
	pid := func(process string) string { id, _, _ := strings.Cut(process, " "); return id }
	known := map[string]bool{}
	for _, p := range s.Processes {
		known[pid(p)] = true
	}
	s.Processes = nil
	after.Processes = slices.DeleteFunc(slices.Clone(after.Processes), func(p string) bool { return known[pid(p)] })
	return cmp.Diff(s, after, cmpopts.EquateEmpty())
}

// LeavesNothing fails t if, after t and its other clean-ups, links, addresses, routes, nft tables, mounts,
// cgroups, sysctls, or files below dirs differ from now, or there are other processes. The kernel takes some things down
// a little later than the call that removed them (a netns' links, a dead process' cgroup): it is given time.
// Call it first, so that its check runs last.
func LeavesNothing(t testing.TB, dirs ...string) {
	t.Helper()
	Require(t)
	before, err := Take(dirs...)
	if err != nil {
		t.Fatalf("cannot take a snapshot of the machine: %v", err)
	}
	t.Cleanup(func() {
		t.Helper()
		Same(t, before, dirs...)
	})
}

// Same waits until a snapshot equals before, as Diff sees it, and fails t with the difference if it does not.
func Same(t testing.TB, before Snapshot, dirs ...string) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		after, err := Take(dirs...)
		if err != nil {
			t.Fatalf("cannot take a snapshot of the machine: %v", err)
		}
		diff := before.Diff(after)
		if diff == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("the machine is not as it was (-before +after):\n%s", diff)
			return
		}
		<-tick.C
	}
}

// Tool skips t when the program name is not installed, or fails it where STACK_TEST_MUST names it.
func Tool(t testing.TB, name string) string {
	t.Helper()
	p, err := exec.LookPath(name)
	if err == nil {
		return p
	}
	if Must(name) || Must("tools") {
		t.Fatalf("%s is not installed, and STACK_TEST_MUST says that it must be", name)
	}
	t.Skipf("SKIP: %s is not installed", name)
	return ""
}

// LinkKind skips t when the kernel has no links of kind, or fails it where STACK_TEST_MUST names "links".
func LinkKind(t testing.TB, kind string) {
	t.Helper()
	if HasLinkKind(kind) {
		return
	}
	if Must("links") {
		t.Fatalf("this kernel has no links of kind %s, and STACK_TEST_MUST says that it must", kind)
	}
	t.Skipf("SKIP: this kernel has no links of kind %s", kind)
}

// HasLinkKind says whether the kernel has links of kind: macvlan, vlan, dummy, …
func HasLinkKind(kind string) bool {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "stack-probe0"
	// A multicast address is none for a link, and nothing is on a link that there is not: a kernel that knows the kind says so.
	attrs.HardwareAddr, attrs.ParentIndex = net.HardwareAddr{1, 0, 0, 0, 0, 0}, math.MaxInt32
	link := &netlink.GenericLink{LinkAttrs: attrs, LinkType: kind}
	err := netlink.LinkAdd(link)
	if err == nil {
		netlink.LinkDel(link)
	}
	return !errors.Is(err, unix.EOPNOTSUPP)
}
