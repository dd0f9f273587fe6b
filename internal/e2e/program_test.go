package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// exe is what program the daemon of h runs.
func (h *host) exe(t *testing.T) string {
	t.Helper()
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", h.daemon.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestProgramOfTheDaemon: who starts `stack daemon` has the daemon in that process, by the name of stack; its program is below the state root, where it is looked
// at before each start: what is not the program is never run.
func TestProgramOfTheDaemon(t *testing.T) {
	h := ownHost(t)
	h.startDaemon(t)
	path := h.state("program", "stack-daemon")
	equal(t, "the daemon's program", h.exe(t), path)
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", h.daemon.Process.Pid))
	equal(t, "its name", strings.TrimSpace(string(comm)), "stack")
	if err != nil {
		t.Error(err)
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", h.daemon.Process.Pid))
	if err != nil || !bytes.HasPrefix(line, []byte("stack\x00daemon\x00--state-root\x00"+h.state()+"\x00")) {
		t.Errorf("%q, %v", line, err)
	}
	right, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h.killDaemon(t)

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, path, "#!/bin/sh\necho this is another program\n")
	if err := os.Chmod(path, 0o500); err != nil {
		t.Fatal(err)
	}
	h.startDaemon(t)
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, right) {
		t.Errorf("the program has %d bytes, want %d; %v", len(now), len(right), err)
	}

	// Taken away while it runs, as an upgrade does.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if !h.answers() {
		t.Error("the daemon does not answer")
	}
	h.killDaemon(t)
	h.startDaemon(t)
	equal(t, "the daemon's program", h.exe(t), path)
}

// TestProgramCannotBePlaced: from where no program can be run, or nothing more can be written, the daemon runs from memory, and says so.
func TestProgramCannotBePlaced(t *testing.T) {
	h := ownHost(t)
	if err := os.MkdirAll(h.state(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", h.state(), "tmpfs", unix.MS_NOEXEC, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.killDaemon(t)
		if err := unix.Unmount(h.state(), 0); err != nil {
			t.Error(err)
		}
	})
	h.makeDirs(t)
	h.startDaemon(t)
	if path := h.exe(t); !strings.HasPrefix(path, "/memfd:stack-daemon") {
		t.Errorf("the daemon's program is %s", path)
	}
	contains(t, "what it says", h.daemonLog(10), "the daemon runs from memory", "mounted noexec", filepath.Join(h.state(), "program"))
	p := newProject(t, h, "noexec", map[string]string{"compose.yaml": "services:\n  web:\n    image: busybox\n    command: [sleep, infinity]\n"})
	r := p.run("doctor")
	contains(t, "doctor", r.stdout, "noexec")
}
