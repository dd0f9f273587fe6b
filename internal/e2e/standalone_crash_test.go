package e2e

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	dc "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/stackrun/stack/internal/sandbox"
)

// standaloneStages are what is done to a container that belongs to no file, in turn; to is what it has come to then. From the first point on whose name begins as after says,
// the next daemon goes on with it.
var standaloneStages = []struct {
	name, to, after string
	do              func(a *engineAPI) error
}{
	{"create", "created", "", func(a *engineAPI) error {
		_, err := a.ContainerCreate(context.Background(), client.ContainerCreateOptions{Name: "victim", Config: &dc.Config{
			Image: "busybox", Cmd: []string{"sh", "-c", `trap "exit 5" TERM; while :; do sleep 0.1; done`}, Volumes: map[string]struct{}{"/data": {}},
		}, HostConfig: &dc.HostConfig{NetworkMode: "island", RestartPolicy: dc.RestartPolicy{Name: "on-failure"}}})
		return err
	}},
	{"start", "running", "", func(a *engineAPI) error {
		_, err := a.ContainerStart(context.Background(), "victim", client.ContainerStartOptions{})
		return err
	}},
	{"restart", "running", "driver.containers.stop.before", func(a *engineAPI) error {
		_, err := a.ContainerRestart(context.Background(), "victim", client.ContainerRestartOptions{})
		return err
	}},
	{"stop", "exited", "driver.containers.stop.before", func(a *engineAPI) error {
		_, err := a.ContainerStop(context.Background(), "victim", client.ContainerStopOptions{})
		return err
	}},
	{"remove", "gone", "driver.networks.teardown.before", func(a *engineAPI) error {
		_, err := a.ContainerRemove(context.Background(), "victim", client.ContainerRemoveOptions{RemoveVolumes: true})
		return err
	}},
}

// TestStandaloneKilledAnywhere kills the daemon at each point of each thing that is done to a container which belongs to no file: the next one finds it as it was before or as it was to become, goes on
// with what it has begun to end, and the same call then gets to the same state. Nothing is left at the end. `make test` takes a sample of the points.
func TestStandaloneKilledAnywhere(t *testing.T) {
	h := ownHost(t)
	bin, err := withFailpoints()
	if err != nil {
		t.Fatal(err)
	}
	h.bin = bin
	h.startDaemon(t)
	h.warmUp(t)
	a := newEngineAPI(t, h)
	if _, err := a.NetworkCreate(t.Context(), "island", client.NetworkCreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if h.daemon == nil {
			h.startDaemon(t)
		}
		if _, err := a.NetworkRemove(context.Background(), "island", client.NetworkRemoveOptions{}); err != nil {
			t.Error(err)
		}
		bridgesGone(t)
	})
	// The points of a clean run, a daemon for each stage.
	var points [][]string
	for _, s := range standaloneStages {
		h.killDaemon(t)
		trace := filepath.Join(t.TempDir(), "trace")
		if !h.tryDaemon(t, "STACK_FAILPOINT_TRACE="+trace) {
			t.Fatal("the daemon ended")
		}
		if _, err := a.Ping(t.Context(), client.PingOptions{}); err != nil {
			t.Fatal(err)
		}
		before := len(pointsOfMaybe(t, trace))
		if err := s.do(a); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		equal(t, "after "+s.name+" it is", a.state("victim"), s.to)
		points = append(points, pointsOf(t, trace)[before:])
	}
	rnd := seeded(t)
	kills, missed := 0, 0
	for i := range standaloneStages {
		mine := slices.Clone(points[i])
		if !long() {
			rnd.Shuffle(len(mine), func(a, b int) { mine[a], mine[b] = mine[b], mine[a] })
			mine = mine[:min(len(mine), 3)]
		}
		for _, point := range mine {
			if killStandaloneAt(t, h, a, i, point, points[i]) {
				kills++
			} else {
				missed++
			}
			if t.Failed() {
				t.Fatalf("STACK_FAILPOINT=%s in %s", point, standaloneStages[i].name)
			}
		}
	}
	t.Logf("the daemon was killed %d times at points that were asked for; %d were not come by", kills, missed)
	if missed > kills {
		t.Error("too many points are not come by a second time")
	}
}

// pointsOfMaybe is pointsOf a trace that may not have begun.
func pointsOfMaybe(t *testing.T, trace string) []string {
	if _, err := os.Stat(trace); err != nil {
		return nil
	}
	return pointsOf(t, trace)
}

// killStandaloneAt goes through all stages and kills the daemon at point of the one with that number. It says whether the daemon came by.
func killStandaloneAt(t *testing.T, h *host, a *engineAPI, number int, point string, all []string) (killed bool) {
	t.Helper()
	was := "gone"
	for i, s := range standaloneStages {
		what := s.name + ", killed at " + point
		if i == number {
			h.killDaemon(t)
			up := h.tryDaemon(t, "STACK_FAILPOINT="+point)
			var failure error
			if up {
				failure = s.do(a)
			}
			if killed = !up || h.daemonDied(failure != nil); killed {
				h.daemon = nil
			} else {
				h.killDaemon(t)
			}
			h.startDaemon(t)
			goesOn := s.after != "" && slices.Index(all, point) >= slices.IndexFunc(all, func(p string) bool { return strings.HasPrefix(p, s.after) })
			if killed && goesOn {
				a.eventually("victim", s.to) // nobody asks again
			}
			sandbox.Eventually(t, what+": it is as before or as it was to be", func() bool {
				now := a.state("victim")
				return now == was || now == s.to
			})
			if now := a.state("victim"); now != s.to && s.name != "restart" {
				if err := s.do(a); err != nil {
					t.Errorf("%s: the same again: %v", what, err)
				}
			}
		} else if err := s.do(a); err != nil {
			t.Errorf("%s after a kill at %s: %v", s.name, point, err)
		}
		a.eventually("victim", s.to)
		was = s.to
	}
	sandbox.Eventually(t, "nothing is left after a kill at "+point, func() bool {
		return len(below(t, h.state("containers")))+len(below(t, h.state("snapshots")))+len(below(t, h.state("volumes")))+len(below(t, h.run("netns")))+len(below(t, h.run("containers"))) == 0
	})
	return killed
}
