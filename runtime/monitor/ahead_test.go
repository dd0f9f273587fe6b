package monitor_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime/boot"
)

// A monitor that is free makes ahead what a container like its last one would have.

// made is the network namespace that process pid holds and is not in, "" when there is none.
func made(pid int, own string) string {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		if to, err := os.Readlink(filepath.Join(dir, f.Name())); err == nil && strings.HasPrefix(to, "net:") && to != own {
			return to
		}
	}
	return ""
}

func ownNetwork(t testing.TB) string {
	t.Helper()
	own, err := os.Readlink("/proc/self/ns/net")
	must(t, err)
	return own
}

// TestNextHasWhatIsMadeAhead: the network namespace of the next container is the one that the monitor has had ready.
func TestNextHasWhatIsMadeAhead(t *testing.T) {
	root, own := image(t), ownNetwork(t)
	sandbox.Eventually(t, "a container has what was made ahead", func() bool {
		first := newContainer(t, root, "true")
		if !first.work(nil) {
			first.ended()
			return false
		}
		ready := ""
		for range 10_000 { // it is there for a moment only
			if ready = made(first.pid, own); ready != "" {
				break
			}
		}
		second := newContainer(t, root, "readlink /proc/self/ns/net")
		second.work(first)
		second.ended()
		return ready != "" && strings.TrimSpace(second.logged()) == ready
	})
}

// TestAheadIsNotKept: who waits for longer has nothing of the kind.
func TestAheadIsNotKept(t *testing.T) {
	root, own := image(t), ownNetwork(t)
	last := freed(t, 1, func() *container { return newContainer(t, root, "true") })
	seen := false
	sandbox.Eventually(t, "a monitor that waits has no namespace of the network", func() bool {
		is := made(last.pid, own) != ""
		seen = seen || is
		return !is && last.settledDown()
	})
	t.Logf("it was seen before: %v", seen)
	last.ended()
}

// settledDown says whether the monitor has given back what it only keeps for a moment: then it has no more than the usual files.
func (c *container) settledDown() bool {
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.pid))
	return err == nil && len(files) <= 7
}

// TestNextIsAsAsked: whatever the last container was and did, the next is what it is to be.
func TestNextIsAsAsked(t *testing.T) {
	root, own := image(t), ownNetwork(t)
	const look = "readlink /proc/self/ns/net; hostname; cat /proc/net/dev | wc -l; ip -o addr; ls -l /dev | cut -c 1-10,38-; ls -la /dev/shm /dev/mqueue | cut -c 1-10,56-; stat -c %a /dev /dev/pts /dev/shm"
	const spoil = "ip link set lo up; ip addr add 198.51.100.7/32 dev lo; touch /dev/mine /dev/shm/mine; hostname spoilt; chmod 700 /dev"
	numbers := func(c *container) string {
		_, rest, _ := strings.Cut(c.logged(), "\n") // the first line is the namespace
		return rest
	}
	fresh := newContainer(t, root, look)
	fresh.work(nil)
	fresh.ended()
	without := func(kind specs.LinuxNamespaceType) func(*container) {
		return func(c *container) {
			c.Spec.Linux.Namespaces = slices.DeleteFunc(c.Spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == kind })
		}
	}
	same := func(*container) {}
	for name, change := range map[string]func(*container){
		"alike":                   same,
		"with the host's network": without(specs.NetworkNamespace),
		"with the host's IPC":     without(specs.IPCNamespace),
	} {
		t.Run(name, func(t *testing.T) {
			expected := newContainer(t, root, look)
			change(expected)
			expected.work(nil)
			expected.ended()
			var next *container
			last := freed(t, 2, func() *container { return newContainer(t, root, spoil) })
			next = newContainer(t, root, look)
			change(next)
			next.work(last)
			next.ended()
			if is, want := numbers(next), numbers(expected); is != want || want == "" {
				t.Errorf("after another container of the same monitor:\n%s\nin a new one:\n%s", is, want)
			}
			network, _, _ := strings.Cut(next.logged(), "\n")
			if hosts := name == "with the host's network"; (network == own) != hosts {
				t.Errorf("its network is %s, the host's %s", network, own)
			}
		})
	}
}

// TestPrepareComesBack: the thread is where it was, and with Close nothing is left.
func TestPrepareComesBack(t *testing.T) {
	sandbox.Require(t)
	home, err := boot.OpenHome()
	must(t, err)
	defer home.Close()
	failed := make(chan string, 1)
	go func() { // on a thread that ends with it
		runtime.LockOSThread()
		where := func() (all string) {
			for _, ns := range []string{"net", "ipc", "uts", "mnt", "cgroup"} {
				to, _ := os.Readlink("/proc/thread-self/ns/" + ns)
				all += to + " "
			}
			return all
		}
		own, was := ownNetwork(t), where()
		ahead, lost := home.Prepare(boot.KindsAhead(defaultSpec("true")))
		is, ready := where(), made(os.Getpid(), own)
		ahead.Close()
		switch left := made(os.Getpid(), own); {
		case ahead == nil || lost != nil:
			failed <- fmt.Sprintf("Prepare: %v, %v", ahead, lost)
		case is != was:
			failed <- "the thread is in " + is + "and was in " + was
		case ready == "" || left != "":
			failed <- fmt.Sprintf("it holds %q, and after Close %q", ready, left)
		default:
			failed <- ""
		}
	}()
	if text := <-failed; text != "" {
		t.Error(text)
	}
}
