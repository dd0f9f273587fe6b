package monitor_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime/proto"
)

// A monitor that has made a container is where it was, and keeps nothing of the container's but the other ends of its streams.
func TestMonitorComesBack(t *testing.T) {
	for name, change := range map[string]func(*container){
		"plain":       func(c *container) {},
		"init":        func(c *container) { c.Init = true },
		"terminal":    func(c *container) { c.Spec.Process.Terminal = true },
		"of another":  func(c *container) { joinPids(t, c) },
		"with limits": func(c *container) { c.cgroups() },
	} {
		t.Run(name, func(t *testing.T) {
			c := newContainer(t, image(t), "echo up; exec sleep 1000")
			c.StdinOpen = true
			change(c)
			c.start()
			c.await(proto.ReportStarted)
			follow(t, c, "up")
			of := func(pid, path string) string {
				link, err := os.Readlink(filepath.Join("/proc", pid, path))
				must(t, err)
				return link
			}
			monitor := strconv.Itoa(c.pid)
			for _, path := range []string{"ns/mnt", "ns/net", "ns/ipc", "ns/uts", "ns/pid", "ns/pid_for_children", "ns/cgroup", "root"} {
				if is, was := of(monitor, path), of("self", path); is != was {
					t.Errorf("%s is %s, it was %s", path, is, was)
				}
			}
			var others []string
			if !sandbox.Within(func() bool { others = foreign(t, c, monitor); return len(others) == 0 }) { // it reads a file now and then
				t.Errorf("descriptor %s", strings.Join(others, ", "))
			}
		})
	}
}

// foreign are monitor's descriptors of what is not a monitor's.
func foreign(t *testing.T, c *container, monitor string) (found []string) {
	files, err := os.ReadDir("/proc/" + monitor + "/fd")
	must(t, err)
	for _, f := range files {
		target, err := os.Readlink("/proc/" + monitor + "/fd/" + f.Name())
		if errors.Is(err, fs.ErrNotExist) { // closed meanwhile
			continue
		}
		must(t, err)
		mine := target == "/dev/null" && f.Name() <= "3" && len(f.Name()) == 1 || c.Spec.Process.Terminal && strings.HasSuffix(target, "/ptmx")
		for _, prefix := range []string{"socket:", "pipe:", "anon_inode:[eventpoll]", "anon_inode:[eventfd]", "anon_inode:[pidfd]", "/sys/fs/cgroup/", c.dir} {
			mine = mine || strings.HasPrefix(target, prefix)
		}
		if !mine {
			found = append(found, f.Name()+" is "+target)
		}
	}
	return found
}

// joinPids has c come into the pid namespace of a container that runs.
func joinPids(t *testing.T, c *container) {
	first := newContainer(t, image(t), "exec sleep 1000")
	first.start()
	status := first.await(proto.ReportStarted).Status
	for i := range c.Spec.Linux.Namespaces {
		if ns := &c.Spec.Linux.Namespaces[i]; ns.Type == "pid" {
			ns.Path = fmt.Sprintf("/proc/%d/ns/pid", status.Pid)
		}
	}
}

// Nobody would know of an init whose monitor is killed while it waits.
func TestInitEndsWithItsMonitor(t *testing.T) {
	c := newContainer(t, image(t), "exec sleep 1000")
	c.AwaitAttach = true
	c.start()
	c.await(proto.ReportListening)
	init := 0
	sandbox.Eventually(t, "there is an init", func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", c.pid, c.pid))
		must(t, err)
		init, _ = strconv.Atoi(strings.TrimSpace(string(b)))
		return init > 0
	})
	pidfd, err := unix.PidfdOpen(init, 0)
	must(t, err)
	defer unix.Close(pidfd)
	must(t, unix.Kill(c.pid, unix.SIGKILL))
	sandbox.Eventually(t, "the init ends", func() bool {
		n, _ := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 0) // 0 or EINTR: not yet
		return n == 1
	})
}
