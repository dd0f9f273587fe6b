package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	dc "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/stackrun/stack/internal/sandbox"
)

// TestStandaloneSignalled: the signal that a stop would send, sent by hand, ends the policy and not what the container does of itself. One that goes with its end goes.
func TestStandaloneSignalled(t *testing.T) {
	h := ownHost(t)
	h.startDaemon(t)
	h.warmUp(t)
	a := newEngineAPI(t, h)
	term := func(id string) {
		t.Helper()
		if _, err := a.ContainerKill(t.Context(), id, client.ContainerKillOptions{Signal: "TERM"}); err != nil {
			t.Fatal(err)
		}
	}
	ready := func(id string) {
		t.Helper()
		sandbox.Eventually(t, id+" listens to signals", func() bool { return a.logs(id, client.ContainerLogsOptions{}) != "" })
	}
	const ends = `trap "exit 6" TERM; echo ready; while :; do sleep 0.1; done`
	a.create("once", ends, func(_ *dc.Config, h *dc.HostConfig) { h.AutoRemove = true })
	a.start("once")
	ready("once")
	end := a.ContainerWait(t.Context(), "once", client.ContainerWaitOptions{Condition: dc.WaitConditionRemoved})
	term("once")
	a.eventually("once", "gone")
	select {
	case got := <-end.Result:
		equal(t, "it has ended with", fmt.Sprint(got.StatusCode), "6")
	case err := <-end.Error:
		t.Fatal(err)
	}

	a.create("kept", `trap : TERM; echo ready; until [ -e /end ]; do sleep 0.1; done`, func(_ *dc.Config, h *dc.HostConfig) {
		h.RestartPolicy = dc.RestartPolicy{Name: "always"}
	})
	a.start("kept")
	ready("kept")
	term("kept")
	pid := a.pid("kept")
	h.killDaemon(t)
	h.startDaemon(t)
	if _, code := a.exec("kept", "true"); code != 0 || a.pid("kept") != pid {
		t.Errorf("what has not ended at a signal was stopped by the next daemon: %s, exec: %d", a.state("kept"), code)
	}
	a.exec("kept", "touch", "/end")
	a.eventually("kept", "exited")
	sandbox.Eventually(t, "nothing is left of its network", func() bool { return len(below(t, h.run("netns"))) == 0 })
}

func (a *engineAPI) pid(id string) int {
	a.t.Helper()
	got, err := a.ContainerInspect(a.t.Context(), id, client.ContainerInspectOptions{})
	if err != nil {
		a.t.Fatal(err)
	}
	return got.Container.State.Pid
}

// TestStandaloneEndedOverDaemons: what a daemon was killed at while it waited for a container to end, the next one does to its end.
func TestStandaloneEndedOverDaemons(t *testing.T) {
	h := ownHost(t)
	h.startDaemon(t)
	h.warmUp(t)
	a := newEngineAPI(t, h)
	const deaf = `trap "echo asked" TERM; echo listens; while :; do sleep 0.1; done`
	says := func(id, text string) {
		t.Helper()
		sandbox.Eventually(t, id+" says: "+text, func() bool { return strings.Contains(a.logs(id, client.ContainerLogsOptions{}), text) })
	}
	asked := func(id string, do func(ctx context.Context)) {
		t.Helper()
		says(id, "listens") // before that the signal is lost
		done := make(chan struct{})
		go func() {
			defer close(done)
			do(context.WithoutCancel(t.Context()))
		}()
		says(id, "asked")
		h.killDaemon(t)
		<-done
		h.startDaemon(t)
	}
	a.create("goes", deaf, func(c *dc.Config, h *dc.HostConfig) { c.StopTimeout, h.AutoRemove = new(1), true })
	a.start("goes")
	asked("goes", func(ctx context.Context) {
		a.ContainerStop(ctx, "goes", client.ContainerStopOptions{Timeout: new(600)}) //nolint:errcheck // the daemon is killed meanwhile
	})
	a.eventually("goes", "gone")
	a.create("again", deaf, func(c *dc.Config, h *dc.HostConfig) { c.StopTimeout = new(1) })
	a.start("again")
	pid := a.pid("again")
	asked("again", func(ctx context.Context) {
		a.ContainerRestart(ctx, "again", client.ContainerRestartOptions{Timeout: new(600)}) //nolint:errcheck // as above
	})
	again := pid
	sandbox.Eventually(t, "it was started again", func() bool { again = a.pid("again"); return again != 0 && again != pid })
	h.killDaemon(t)
	h.startDaemon(t)
	equal(t, "and that once", fmt.Sprint(a.pid("again")), fmt.Sprint(again))
}

// TestStandaloneClientsThatGo: who has attached to a container that says nothing, and goes, leaves nothing open in the daemon.
func TestStandaloneClientsThatGo(t *testing.T) {
	h := ownHost(t)
	h.startDaemon(t)
	h.warmUp(t)
	a := newEngineAPI(t, h)
	open := func() int {
		all, err := os.ReadDir(filepath.Join("/proc", fmt.Sprint(h.daemon.Process.Pid), "fd"))
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	a.create("made", "sleep 1000", nil)
	id := a.create("runs", "sleep 1000", nil)
	a.start(id)
	before := open()
	const clients = 10
	for _, name := range []string{"made", "runs"} {
		for range clients {
			got, err := a.ContainerAttach(t.Context(), name, client.ContainerAttachOptions{Stream: true, Stdout: true, Stderr: true})
			if err != nil {
				t.Fatal(err)
			}
			if err := got.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			defer got.Close()
			got.Close()
		}
	}
	sandbox.Eventually(t, "what clients had open is closed", func() bool { return open() < before+clients })
}
