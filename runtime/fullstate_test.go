package runtime_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/proto"
)

// TestExitOnAFullDisk: where the state root takes nothing, as on a full disk, the exit of a container is known all the same, to the next daemon too. It is put where
// it belongs when there is room.
func TestExitOnAFullDisk(t *testing.T) {
	h := newHost(t)
	for _, old := range []bool{false, true} { // the monitor of one that has run for a while says nothing to its daemon any more
		c := h.sh("trap 'exit 7' TERM; echo ready; while :; do sleep 1000 & wait; done")
		h.up(c)
		h.eventuallyLog(c, "ready")
		if old {
			h.Close()
			h.Driver = h.driver()
		}
		dir := h.roots.InState("containers", c.ID)
		release := sealed(t, dir)
		defer release()
		must(t, h.Kill(t.Context(), c.ID, unix.SIGTERM))
		sandbox.Eventually(t, "the end is seen", func() bool {
			s, err := h.State(t.Context(), c.ID)
			return err == nil && s.Status != runtime.Running
		})
		want := h.wait(c.ID)
		if want.Unseen || want.Error != "" || want.Code != 7 {
			t.Errorf("exit %+v", want)
		}
		check := func(when string) {
			t.Helper()
			s, err := h.State(t.Context(), c.ID)
			must(t, err)
			if s.Status != runtime.Stopped || s.Exit == nil || s.Exit.Code != want.Code || s.Exit.Unseen {
				t.Errorf("%s: it is %s, %+v", when, s.Status, s.Exit)
			}
		}
		check("while nothing can be written")
		h.Close()
		h.Driver = h.driver()
		check("with the next daemon")
		release()
		h.Close()
		h.Driver = h.driver()
		check("when there is room")
		if _, err := os.Stat(filepath.Join(dir, "exit.json")); err != nil {
			t.Errorf("the exit is not where it belongs: %v", err)
		}
		_, err := h.Start(t.Context(), c.ID)
		must(t, err)
		if s, err := h.State(t.Context(), c.ID); err != nil || s.Status != runtime.Running {
			t.Errorf("started again it is %s, %v", s.Status, err)
		}
	}
}

// sealed makes dir one in which nothing can be written, until release is called.
func sealed(t *testing.T, dir string) (release func()) {
	t.Helper()
	must(t, unix.Mount(dir, dir, "", unix.MS_BIND, ""))
	must(t, unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	return sync.OnceFunc(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
}

// fill makes filler take all the room that its file system has.
func fill(t *testing.T, filler string) {
	t.Helper()
	f, err := os.OpenFile(filler, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	must(t, err)
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

// small puts the records of containers on a file system of 512 KiB, which is dir, for the drivers from now on, until large.
func (h *host) small(t *testing.T) (dir string, large func()) {
	t.Helper()
	dir = h.roots.InState("containers")
	must(t, h.Close())
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"))
	h.Driver = h.driver()
	return dir, func() {
		h.sweepContainers()
		must(t, h.Close())
		must(t, unix.Unmount(dir, unix.MNT_DETACH))
		h.Driver = h.driver()
	}
}

// TestRestartOnAFullDisk: a start that records what was recorded before writes no config, and what Reserve has kept takes the records of one that does, although
// the disk is full by then. Without it the start fails: that is for the caller to find out before the stop.
func TestRestartOnAFullDisk(t *testing.T) {
	h := newHost(t)
	containers, large := h.small(t)
	defer large()
	c := h.sh("while :; do sleep 1000 & wait; done")
	h.up(c)
	filler := filepath.Join(containers, "filler")
	stop := func() {
		t.Helper()
		_, err := h.Stop(t.Context(), c.ID, 0)
		must(t, err)
		fill(t, filler)
	}
	must(t, h.Reserve(t.Context(), c.ID))
	must(t, h.Reserve(t.Context(), c.ID))
	fill(t, filler)
	stop()
	must(t, h.Replace(t.Context(), c)) // it is the same
	spec := *c.Spec
	spec.Hostname = "other"
	c.Spec = &spec
	must(t, h.Replace(t.Context(), c))
	fill(t, filler)
	_, err := h.Start(t.Context(), c.ID)
	must(t, err)
	if s, err := h.State(t.Context(), c.ID); err != nil || s.Status != runtime.Running || s.Config.Spec.Hostname != "other" {
		t.Errorf("it is %+v, %v", s, err)
	}
	fill(t, filler)
	if err := h.Reserve(t.Context(), c.ID); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("a reserve that there is no room for: %v", err)
	}
	stop()
	if _, err := h.Start(t.Context(), c.ID); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("a start without a reserve: %v", err)
	}
	if s, err := h.State(t.Context(), c.ID); err != nil || s.Status != runtime.Stopped || s.Exit == nil || s.Exit.Code != 137 {
		t.Errorf("after a start that failed it is %s, %+v, %v", s.Status, s.Exit, err)
	}
	must(t, os.Remove(filler))
}

// TestNextDaemonOnAFullDisk: one that cannot put down how a container has ended, which nobody has seen, looks after the others all the same.
func TestNextDaemonOnAFullDisk(t *testing.T) {
	for name, between := range map[string]func(h *host, id string){
		"its status was removed": func(h *host, id string) {
			must(h.t, os.Remove(h.roots.InRun("containers", id, proto.StatusName)))
		},
		"its run directory was removed": func(h *host, id string) {
			must(h.t, os.RemoveAll(h.roots.InRun("containers", id)))
		},
		"the host went down": func(h *host, id string) { h.goDown(id) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			c := h.config("sleep", "1000")
			h.up(c)
			if name == "the host went down" {
				_, err := h.Stop(t.Context(), c.ID, 0)
				must(t, err)
			}
			release := func() {}
			defer func() { release() }()
			h.nextDaemon(func() {
				between(h, c.ID)
				release = sealed(t, h.roots.InState("containers", c.ID))
			})
			if s, err := h.State(t.Context(), c.ID); err != nil || s.Status == runtime.Running {
				t.Errorf("it is %s, %v", s.Status, err)
			}
			release()
			h.up(c) // it can be started again
		})
	}
}

// TestDamagedRecordsOnAFullDisk: after a power cut on a full disk, whose last files are empty, the next daemon starts all the same.
func TestDamagedRecordsOnAFullDisk(t *testing.T) {
	for _, name := range []string{"run.json", "exit.json"} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			containers, large := h.small(t)
			defer large()
			c := h.config("true")
			h.up(c)
			h.wait(c.ID)
			filler := filepath.Join(containers, "filler")
			h.nextDaemon(func() {
				h.goDown(c.ID)
				must(t, os.WriteFile(filepath.Join(containers, c.ID, name), nil, 0o600))
				fill(t, filler)
			})
			if s, err := h.State(t.Context(), c.ID); err != nil || s.Status == runtime.Running {
				t.Errorf("it is %s, %v", s.Status, err)
			}
			must(t, os.Remove(filler))
			h.up(c) // it can be started again
		})
	}
}
