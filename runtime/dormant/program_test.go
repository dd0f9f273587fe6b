package dormant_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime/dormant"
)

// It waits for an event, and executes then what it was told, with its own arguments and environment, as the same process.
func TestProgram(t *testing.T) {
	if dormant.Program() == nil {
		t.Skip("SKIP: there is none for " + runtime.GOARCH)
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "dormant")
	if err := os.WriteFile(program, dormant.Program(), 0o755); err != nil {
		t.Fatal(err)
	}
	event, wake, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer event.Close()
	defer wake.Close()
	events, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.EpollCtl(events, unix.EPOLL_CTL_ADD, int(event.Fd()), &unix.EpollEvent{Events: unix.EPOLLIN}); err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(dir, "next") // is not there yet
	cmd := exec.Command(program, "an argument")
	cmd.Env = []string{dormant.Path + "=" + next, dormant.Name + "=a-name", "MORE=x"}
	var out strings.Builder
	cmd.Stdout = &out
	for len(cmd.ExtraFiles) < dormant.Events-3 {
		cmd.ExtraFiles = append(cmd.ExtraFiles, nil)
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(uintptr(events), "events"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	proc := "/proc/" + strconv.Itoa(cmd.Process.Pid)
	is := func(file, want string) func() bool {
		return func() bool {
			b, err := os.ReadFile(proc + "/" + file)
			return err == nil && strings.TrimSpace(string(b)) == want
		}
	}
	sandbox.Eventually(t, "it has its name", is("comm", "a-name"))
	sandbox.Eventually(t, "it waits", func() bool {
		b, err := os.ReadFile(proc + "/stat")
		return err == nil && strings.Contains(string(b), ") S ")
	})
	if _, err := wake.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	// It tries again until it can.
	script := "#!/bin/sh\necho $$ \"$1\" $MORE $0\n"
	if err := os.WriteFile(next+".new", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next+".new", next); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), strconv.Itoa(cmd.Process.Pid)+" an argument x "+next+"\n"; got != want {
		t.Errorf("it printed %q, expected %q", got, want)
	}
}
