package reconcile_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/reconcile/execs"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/single"
	"github.com/stackrun/stack/reconcile/standalone"
	"github.com/stackrun/stack/runtime"
)

// alone makes a container that belongs to no file.
func (b *bench) alone(name, policy string) string {
	b.Helper()
	id, _, err := b.engine.Single().Create(b.Context(), single.Want{
		Name: name, Spec: plan.Spec{Image: "app:1", NetworkMode: "none", Restart: plan.RestartPolicy{Name: policy}},
		Traits: standalone.Traits{Labels: map[string]string{"com.docker.compose.project": "shop", "com.docker.compose.service": "web", "com.docker.compose.container-number": "1"}},
	})
	if err != nil {
		b.Fatal(err)
	}
	return id
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) state(ref string) string {
	b.Helper()
	d, err := b.engine.Single().Inspect(b.Context(), ref)
	if errors.Is(err, errdefs.ErrNotFound) {
		return "gone"
	}
	b.must(err)
	return d.State
}

// TestStandaloneAfterABoot: what comes up again is what dockerd would start; a daemon that is followed by another changes nothing.
func TestStandaloneAfterABoot(t *testing.T) {
	run(t, func(b *bench) {
		b.shut()
		b.kernel = "first"
		b.boot()
		policies := []string{"", "on-failure", "unless-stopped", "always"}
		for _, policy := range policies {
			for _, what := range []string{"runs", "stopped", "never"} {
				name := "c-" + policy + "-" + what
				b.alone(name, policy)
				if what != "never" {
					_, err := b.engine.Single().Start(b.Context(), name)
					b.must(err)
				}
				if what == "stopped" {
					_, err := b.engine.Single().Stop(b.Context(), name, single.StopOptions{})
					b.must(err)
				}
			}
		}
		states := func() string {
			synctest.Wait()
			time.Sleep(time.Minute) // of the bubble's clock, for what a policy starts with a delay
			synctest.Wait()
			var all []string
			for _, policy := range policies {
				for _, what := range []string{"runs", "stopped", "never"} {
					all = append(all, policy+" "+what+": "+b.state("c-"+policy+"-"+what))
				}
			}
			return strings.TrimSpace(strings.Join(all, "\n"))
		}
		before := states()
		b.reboot() // of the daemon
		b.same("over a daemon", states(), before)
		b.shut()
		b.host.Reboot()
		b.kernel = "second"
		b.boot()
		b.same("after a boot", states(), strings.TrimSpace(`
 runs: exited
 stopped: exited
 never: created
on-failure runs: running
on-failure stopped: exited
on-failure never: created
unless-stopped runs: running
unless-stopped stopped: exited
unless-stopped never: created
always runs: running
always stopped: running
always never: created`))
	})
}

// TestStandaloneIsMadeAgain: of a container whose files went with the power there is the record, and that makes it again under its id.
func TestStandaloneIsMadeAgain(t *testing.T) {
	run(t, func(b *bench) {
		id, kept := b.alone("lost", ""), b.alone("lively", "always")
		_, err := b.engine.Single().Start(b.Context(), kept)
		b.must(err)
		b.shut()
		b.host.RemoveContainer(id)
		b.host.RemoveContainer(kept)
		b.boot()
		synctest.Wait()
		b.same("it is", b.state(id), "created")
		b.same("the one that is always to run is", b.state("lively"), "running")
		d, err := b.engine.Single().Inspect(b.Context(), "lost")
		b.must(err)
		b.same("its labels", d.Labels["com.docker.compose.service"], "web")
		b.must(b.engine.Single().Remove(b.Context(), id, single.RemoveOptions{}))
		b.reboot()
		b.same("removed, it is", b.state(id), "gone")
	})
}

// TestStandaloneThatCannotBeMade: nothing of it is on record, and the error is its own.
func TestStandaloneThatCannotBeMade(t *testing.T) {
	run(t, func(b *bench) {
		_, _, err := b.engine.Single().Create(b.Context(), single.Want{
			Name: "never", Spec: plan.Spec{Image: "app:1", NetworkMode: "none", CapAdd: []string{"NOSUCH"}, Mounts: []plan.Mount{{Type: "volume", Target: "/data"}}},
		})
		if err == nil || !strings.Contains(err.Error(), "NOSUCH") || strings.Contains(err.Error(), "store") {
			t.Errorf("%v", err)
		}
		b.must(b.store.Each("standalone", func(id string, _ []byte) error { return errors.New(id + " is on record") }))
	})
}

// TestWaitForWhatCannotBeStarted: why the last start failed is the end that a wait tells, as an inspect does, also when a run went well before it.
func TestWaitForWhatCannotBeStarted(t *testing.T) {
	run(t, func(b *bench) {
		program := fake.Program{StartError: errors.New("no such program")}
		b.host.Program = func(runtime.Config) fake.Program { return program }
		one := b.engine.Single()
		for _, what := range []string{"never ran", "ran before"} {
			id := b.alone(strings.ReplaceAll(what, " ", "-"), "")
			if what == "ran before" {
				program = fake.Program{For: time.Second}
				_, err := one.Start(b.Context(), id)
				b.must(err)
				time.Sleep(time.Minute)
				synctest.Wait()
				program = fake.Program{StartError: errors.New("no such program")}
			}
			if _, err := one.Start(b.Context(), id); err == nil {
				b.Fatalf("%s: it starts", what)
			}
			wait, err := one.Wait(b.Context(), id, single.NotRunning)
			b.must(err)
			end, err := wait(b.Context())
			b.must(err)
			if want := (single.WaitEnd{Code: 127, Error: "no such program"}); end != want {
				b.Errorf("%s: the wait tells %+v, want %+v", what, end, want)
			}
			// docker run --rm waits for the removal, and prints an error of that.
			wait, err = one.Wait(b.Context(), id, single.Removed)
			b.must(err)
			b.must(one.Remove(b.Context(), id, single.RemoveOptions{}))
			end, err = wait(b.Context())
			b.must(err)
			if want := (single.WaitEnd{Code: 127}); end != want {
				b.Errorf("%s: the wait for the removal tells %+v, want %+v", what, end, want)
			}
		}
	})
}

// TestStandaloneIsNobodys: a project of the name that its labels say sees nothing of it, and takes no name from it.
func TestStandaloneIsNobodys(t *testing.T) {
	run(t, func(b *bench) {
		id := b.alone("shop-web-9", "")
		_, err := b.engine.Single().Start(b.Context(), id)
		b.must(err)
		b.up(trio(), ask.UpOptions{})
		b.same("running", b.running(), "db-1 side-1 web-1")
		b.same("drift", lines(b.drift()), "")
		if _, _, err := b.engine.Single().Create(b.Context(), single.Want{Name: "shop-web-1", Spec: plan.Spec{Image: "app:1"}}); !errors.Is(err, errdefs.ErrConflict) {
			t.Errorf("a container of a project's name: %v", err)
		}
		b.must(b.engine.Down(b.Context(), "shop", ask.DownOptions{RemoveOrphans: true}, nil))
		b.same("after down it is", b.state(id), "running")
		b.must(b.engine.Single().Remove(b.Context(), id, single.RemoveOptions{Force: true}))
		b.alone("shop-db-1", "")
		err = b.engine.Up(b.Context(), trio(), ask.UpOptions{}, b.sink)
		if !errors.Is(err, errdefs.ErrConflict) || !strings.Contains(err.Error(), "shop-db-1") {
			t.Errorf("up with a name that is taken: %v", err)
		}
		b.must(b.engine.Single().Remove(b.Context(), "shop-db-1", single.RemoveOptions{}))
		b.up(trio(), ask.UpOptions{})
	})
}

// TestSingleOnAProject: what is done to one container of a project is what the project's verb does, and nobody heals it away.
func TestSingleOnAProject(t *testing.T) {
	run(t, func(b *bench) {
		b.up(trio(), ask.UpOptions{})
		s := b.engine.Single()
		_, err := s.Stop(b.Context(), "shop-side-1", single.StopOptions{})
		b.must(err)
		b.heal()
		b.same("after a stop", b.running(), "db-1 web-1")
		already, err := s.Stop(b.Context(), "shop-side-1", single.StopOptions{})
		if !already || err != nil {
			t.Errorf("stopped twice: %v, %v", already, err)
		}
		_, err = s.Start(b.Context(), "shop-side-1")
		b.must(err)
		b.must(s.Kill(b.Context(), "shop-web-1", "KILL"))
		b.heal()
		b.same("after a start and a kill", b.running(), "db-1 side-1")
		b.must(s.Restart(b.Context(), "shop-web-1", single.StopOptions{}))
		b.must(s.Remove(b.Context(), "shop-side-1", single.RemoveOptions{Force: true}))
		b.heal()
		b.same("after a restart and a removal", b.running(), "db-1 web-1")
		for what, err := range map[string]error{"rename": s.Rename(b.Context(), "shop-web-1", "other"), "update": s.Update(b.Context(), "shop-web-1", single.Change{})} {
			if !errors.Is(err, errdefs.ErrConflict) || !strings.Contains(err.Error(), "its file") && !strings.Contains(err.Error(), "whose file") {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// TestReferences: an id, the beginning of one, or a name.
func TestReferences(t *testing.T) {
	run(t, func(b *bench) {
		id := b.alone("web", "")
		for _, ref := range []string{id, id[:12], "web", "/web"} {
			if b.state(ref) != "created" {
				t.Errorf("%s means nothing", ref)
			}
		}
		for _, ref := range []string{"", "we", id + "0", strings.Repeat("g", 64)} {
			if _, err := b.engine.Single().Inspect(b.Context(), ref); !errors.Is(err, errdefs.ErrNotFound) {
				t.Errorf("%q: %v", ref, err)
			}
		}
	})
}

// TestCreateOfWhatIsNotThere: nothing stays of it, and of an image it can be told.
func TestCreateOfWhatIsNotThere(t *testing.T) {
	run(t, func(b *bench) {
		for what, spec := range map[string]plan.Spec{
			"image":     {Image: "nosuch:1"},
			"network":   {Image: "app:1", Networks: map[string]plan.Endpoint{"nosuch": {}}},
			"container": {Image: "app:1", NetworkMode: "container:nosuch"},
			"lender":    {Image: "app:1", VolumesFrom: []string{"container:nosuch"}},
			"device":    {Image: "app:1", Devices: []plan.Device{{Source: "/dev/nosuch", Target: "/dev/x"}}},
		} {
			_, _, err := b.engine.Single().Create(b.Context(), single.Want{Name: "made", Spec: spec})
			if err == nil || errors.Is(err, single.ErrNoImage) != (what == "image") {
				t.Errorf("%s: %v", what, err)
			}
			b.same("after that", b.state("made"), "gone")
		}
	})
}

// TestExecsAreForgotten: the one that nobody has asked about the longest makes room for another.
func TestExecsAreForgotten(t *testing.T) {
	run(t, func(b *bench) {
		s := b.engine.Single()
		id := b.alone("busy", "")
		_, err := s.Start(b.Context(), id)
		b.must(err)
		const most = 4096
		var first, last string
		for i := range most + 1 {
			made, err := s.CreateExec(b.Context(), id, execs.Want{Args: []string{"true"}})
			if err != nil {
				t.Fatalf("after %d: %v", i, err)
			}
			if first == "" {
				first = made
			}
			last = made
			time.Sleep(time.Millisecond) // of the bubble's clock
		}
		if _, err := s.InspectExec(first); !errors.Is(err, errdefs.ErrNotFound) {
			t.Errorf("the first: %v", err)
		}
		_, err = s.InspectExec(last)
		b.must(err)
	})
}
