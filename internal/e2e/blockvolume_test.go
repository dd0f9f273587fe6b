package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// blank is a file of size bytes.
func blank(t *testing.T, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	write(t, path, "")
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	return path
}

// disk is a block device for the test, with the file image behind it. A machine that gives none makes the test skip, loudly.
func disk(t *testing.T, image string, flags uint32) string {
	t.Helper()
	file, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("SKIP: this machine has no loop devices: %v", err)
	}
	defer control.Close()
	for range 20 { // somebody else may be faster
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			t.Skipf("SKIP: this machine gives no loop device: %v", err)
		}
		path := fmt.Sprintf("/dev/loop%d", n)
		dev, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Skipf("SKIP: %s cannot be used: %v", path, err)
		}
		err = unix.IoctlLoopConfigure(int(dev.Fd()), &unix.LoopConfig{Fd: uint32(file.Fd()), Info: unix.LoopInfo64{Flags: flags}})
		dev.Close()
		if errors.Is(err, unix.EBUSY) {
			continue
		}
		if err != nil {
			t.Skipf("SKIP: %s cannot be set up: %v", path, err)
		}
		t.Cleanup(func() {
			dev, err := os.OpenFile(path, os.O_RDWR, 0)
			if err == nil {
				// A device that was read-only stays so, whatever file it gets next (loop_configure in drivers/block/loop.c).
				err = errors.Join(unix.IoctlSetPointerInt(int(dev.Fd()), unix.BLKROSET, 0), unix.IoctlSetInt(int(dev.Fd()), unix.LOOP_CLR_FD, 0))
				dev.Close()
			}
			if err != nil {
				t.Error(err)
			}
		})
		return path
	}
	t.Fatal("no loop device stays free")
	return ""
}

// ext4 is a disk with a file system on it.
func ext4(t *testing.T, flags uint32) string {
	t.Helper()
	image := blank(t, 32<<20)
	mkfs, err := exec.LookPath("mkfs.ext4")
	if err != nil {
		t.Skipf("SKIP: %v: e2fsprogs is not installed", err)
	}
	if out, err := exec.Command(mkfs, "-q", "-F", image).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return disk(t, image, flags)
}

// free waits until no mount of this machine has dev.
func (p *project) free(dev string) {
	p.t.Helper()
	p.eventually(dev+" is free", func() bool {
		fd, err := unix.Open(dev, unix.O_RDWR|unix.O_EXCL|unix.O_CLOEXEC, 0)
		if err != nil {
			return false
		}
		unix.Close(fd)
		return true
	})
}

// TestBlockVolume: a file system of a block device is mounted while containers have it, for all of them one, and nowhere else.
func TestBlockVolume(t *testing.T) {
	dev := ext4(t, 0)
	h := ownHost(t)
	h.makeDirs(t)
	h.startDaemon(t)
	// Not newProject: the daemon is killed. ownHost looks at the end.
	p := &project{t: t, host: h, name: "disk", dir: filepath.Join(t.TempDir(), "disk")}
	t.Cleanup(p.takeDownWholly)
	p.write("compose.yaml", `
services:
  app:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    volumes: ["data:/data"]
  reader:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    volumes: ["data:/data:ro"]
  part:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    depends_on: {prepare: {condition: service_completed_successfully}}
    volumes:
      - {type: volume, source: data, target: /part, volume: {subpath: inner}}
  prepare:
    image: busybox
    command: [mkdir, -p, /data/inner]
    volumes: ["data:/data"]
volumes:
  data:
    driver_opts: {type: ext4, device: `+dev+`, o: "noatime,nosuid,commit=7"}
`)
	p.up()
	mounted := p.sh("app", "grep ' /data ' /proc/mounts")
	contains(t, "the mount", mounted, dev+" /data ext4 rw,", "nosuid", "nodev", "noatime", "commit=7")
	equal(t, "what the disk has", p.sh("app", "ls /data"), "inner\nlost+found")
	p.sh("app", "echo one > /data/inner/f; mknod /data/null c 1 3")
	equal(t, "another container", p.sh("reader", "cat /data/inner/f"), "one")
	equal(t, "a subpath", p.sh("part", "cat /part/f"), "one")
	if r := p.run("exec", "-T", "reader", "touch", "/data/x"); r.code == 0 || !strings.Contains(r.stderr, "Read-only file system") {
		t.Errorf("it can be written where it is read-only: %s", r)
	}
	if r := p.run("exec", "-T", "app", "sh", "-c", "echo x > /data/null"); r.code == 0 {
		t.Errorf("a device node opens: %s", r)
	}
	p.sh("app", "echo two > /data/inner/f") // that reader may not write takes nothing from app
	if b, err := os.ReadFile("/proc/self/mounts"); err != nil || strings.Contains(string(b), dev+" ") {
		t.Errorf("it is mounted on the host: %v\n%s", err, b)
	}

	// A killed daemon leaves containers as they are; what other hands unmount comes back.
	app := p.runs("app")
	h.killDaemon(t)
	h.startDaemon(t)
	equal(t, "the container of a killed daemon", p.runs("app"), app)
	unmount(t, p.status(p.one("disk-app-1").ID).Pid, "/data")
	p.changed("app", app)
	equal(t, "what it has then", p.sh("app", "cat /data/inner/f"), "two")
	p.eventually("no difference", func() bool { return p.run("drift").code == 0 })

	// With its last container the mount is gone, also when nobody is there to do anything.
	p.ok("stop")
	p.free(dev)
	p.ok("start", "app")
	h.killDaemon(t)
	mustKill(t, p.status(containerOf(t, h)).Pid)
	p.free(dev)
	h.startDaemon(t)
	p.ok("down", "--volumes")
	p.free(dev)
	p.up()
	equal(t, "the disk after down --volumes", p.sh("app", "cat /data/inner/f"), "two")
	p.ok("down", "--volumes")
	p.free(dev)
}

// containerOf is the one container of h that has a status, without asking its daemon.
func containerOf(t *testing.T, h *host) string {
	t.Helper()
	all, err := filepath.Glob(h.run("containers", "*", "status.json"))
	if err != nil {
		t.Fatal(err)
	}
	var running []string
	for _, path := range all {
		if _, err := os.Stat(h.state("containers", filepath.Base(filepath.Dir(path)), "exit.json")); errors.Is(err, os.ErrNotExist) {
			running = append(running, filepath.Base(filepath.Dir(path)))
		}
	}
	if len(running) != 1 {
		t.Fatalf("containers that run: %q", running)
	}
	return running[0]
}

// TestReadOnlyDisk: o: ro is the file system's own, so that it takes a disk that cannot be written.
func TestReadOnlyDisk(t *testing.T) {
	dev := ext4(t, unix.LO_FLAGS_READ_ONLY)
	p := compose(t, "rodisk", `
services:
  app:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    volumes: ["data:/data"]
volumes:
  data: {driver_opts: {type: ext4, device: `+dev+`, o: ro}}
`)
	p.up()
	contains(t, "the mount", p.sh("app", "grep ' /data ' /proc/mounts"), "ext4 ro,")
	p.ok("down", "--volumes")
	p.free(dev)
}

// TestBlockVolumeFaults: what cannot be mounted is told with its place and the kernel's reason, before anything is made if that can be; and
// nothing is left.
func TestBlockVolumeFaults(t *testing.T) {
	empty := disk(t, blank(t, 1<<20), 0)
	p := compose(t, "nodisk", "services: {}\n")
	for what, d := range map[string]struct {
		opts    string
		replica int
		want    []string
		begins  bool // it is found out by a start only
	}{
		"no such device":          {"{type: ext4, device: /dev/nothing}", 1, []string{"compose.yaml:10:", "/dev/nothing", "it is not there"}, false},
		"a file":                  {"{type: ext4, device: /etc/passwd}", 1, []string{"compose.yaml:10:", "no block device", "losetup"}, false},
		"mount's own word":        {"{type: ext4, device: " + empty + ", o: loop}", 1, []string{"compose.yaml:10:", "losetup"}, false},
		"no file system on it":    {"{type: ext4, device: " + empty + "}", 1, []string{"compose.yaml:10:", empty, "invalid argument", "it is the volume at /data"}, true},
		"no such file system":     {"{type: nosuchfs, device: " + empty + "}", 1, []string{"compose.yaml:10:", "nosuchfs", "this kernel has no such file system"}, true},
		"an option of none":       {"{type: ext4, device: " + empty + ", o: nosuchoption}", 1, []string{"compose.yaml:10:", "nosuchoption", "invalid argument"}, true},
		"a server without a name": {"{type: nfs, device: \":/export\"}", 1, []string{"compose.yaml:10:", "name no server"}, false},
		"a server nobody knows":   {"{type: nfs, device: \":/export\", o: addr=nowhere.invalid}", 1, []string{"compose.yaml:10:", "the server nowhere.invalid of the volume at /data"}, true},
		"one for each container":  {"{type: overlay, device: overlay, o: \"lowerdir=/usr,upperdir=/nothing,workdir=/nothing\"}", 2, []string{"compose.yaml:10:", "type overlay is for one container"}, false},
		"a password":              {"{type: cifs, device: //127.0.0.1/share, o: \"username=u,password=hunter2hunter2\"}", 1, []string{"compose.yaml:10:", "cifs"}, true},
	} {
		p.write("compose.yaml", fmt.Sprintf(`
services:
  app:
    image: busybox
    command: [sleep, infinity]
    deploy: {replicas: %d}
    volumes: ["data:/data"]
volumes:
  data:
    driver_opts: %s
`, d.replica, d.opts))
		t.Run(what, func(t *testing.T) {
			r := p.run("up", "--detach")
			if r.code != 1 {
				t.Errorf("%s", r)
			}
			contains(t, "up", r.stderr, d.want...)
			if strings.Contains(r.stdout+r.stderr, "hunter2") {
				t.Errorf("it shows the password: %s", r)
			}
			if strings.Contains(r.stderr, "Creating") != d.begins {
				t.Errorf("it has begun, or not: %s", r)
			}
			if ps := p.ps(); len(ps) != 0 {
				t.Errorf("it left %v", ps)
			}
		})
	}
}
