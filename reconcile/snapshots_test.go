package reconcile_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

// keeping is a project of which db and its dependent app have a volume each.
func keeping() *spec.Project {
	with := func(key string) func(*spec.Service) {
		return func(s *spec.Service) { s.Mounts = []spec.Mount{{Type: "volume", Source: key, Target: "/data"}} }
	}
	p := project(service("db", with("data")), service("app", with("files"), after("db", spec.ServiceStarted, true)), service("idle"))
	p.Volumes["files"] = &spec.Volume{Key: "files", Name: "shop_files"}
	return p
}

// about are the operations that concern what names says, in order.
func about(ops []string, names ...string) []string {
	return slices.DeleteFunc(ops, func(op string) bool {
		return !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(op, n) })
	})
}

func TestSnapshotPausesAndRestoreStops(t *testing.T) {
	run(t, func(b *bench) {
		b.up(keeping(), ask.UpOptions{})
		b.host.Content = map[string]string{"shop_data": "old", "shop_files": "old"}
		ops := b.changes(func() {
			if err := b.engine.SnapshotVolumes(b.Context(), "shop", ask.SnapshotOptions{Name: "s"}, b.sink); err != nil {
				b.Fatal(err)
			}
		})
		got := about(ops, "Containers.", "Volumes.")
		if len(got) != 5 || !strings.HasPrefix(got[0], "Containers.Pause") || !strings.HasPrefix(got[1], "Containers.Pause") || !strings.HasPrefix(got[2], "Volumes.Snapshot") || !strings.HasPrefix(got[3], "Containers.Resume") {
			b.Errorf("a snapshot does %v", got)
		}
		if ops := b.changes(func() {
			if err := b.engine.SnapshotVolumes(b.Context(), "shop", ask.SnapshotOptions{Name: "s"}, b.sink); !errors.Is(err, errdefs.ErrAlreadyExists) {
				b.Errorf("a second of that name: %v", err)
			}
		}); len(ops) > 0 {
			b.Errorf("it did %v", ops)
		}
		b.host.Content = map[string]string{"shop_data": "new", "shop_files": "new"}
		if ops := b.changes(func() {
			err := b.engine.RestoreVolumes(b.Context(), "shop", ask.RestoreOptions{Name: "s", Volumes: []string{"data"}}, b.sink)
			if !errors.Is(err, errdefs.ErrConflict) || !strings.Contains(err.Error(), "shop-db-1") || strings.Contains(err.Error(), "shop-app-1") {
				b.Errorf("while it runs: %v", err)
			}
		}); len(ops) > 0 {
			b.Errorf("it did %v", ops)
		}
		ops = b.changes(func() {
			if err := b.engine.RestoreVolumes(b.Context(), "shop", ask.RestoreOptions{Name: "s", Stop: true}, b.sink); err != nil {
				b.Fatal(err)
			}
		})
		var order []string
		for _, op := range about(ops, "Containers.Stop", "Containers.Start", "Volumes.Restore") {
			order = append(order, strings.Fields(op)[0])
		}
		if got := strings.Join(order, " "); got != "Containers.Stop Containers.Stop Volumes.Restore Containers.Start Containers.Start" {
			b.Errorf("a restore does %s", got)
		}
		if b.host.Content["shop_data"] != "old" || b.host.Content["shop_files"] != "old" {
			b.Errorf("the volumes have %v", b.host.Content)
		}
		for name, row := range b.rows("shop") {
			if row.State != "running" {
				b.Errorf("%s is %s", name, row.State)
			}
		}
		if d := b.drift(); len(d.Changes) > 0 {
			b.Errorf("drift tells %v", d.Changes)
		}
		if err := b.engine.RemoveSnapshots(b.Context(), "shop", []string{"s"}, b.sink); err != nil {
			b.Error(err)
		}
	})
}

// Whichever operation of it fails, a command on volumes leaves what ran running; and the content is old or new, in both volumes alike.
func TestCommandsOnVolumesThatFail(t *testing.T) {
	for _, at := range []string{"Containers.Pause", "Volumes.Snapshot", "Containers.Stop", "Volumes.Restore"} {
		run(t, func(b *bench) {
			b.up(keeping(), ask.UpOptions{})
			b.host.Content = map[string]string{"shop_data": "old", "shop_files": "old"}
			if err := b.engine.SnapshotVolumes(b.Context(), "shop", ask.SnapshotOptions{Name: "s"}, b.sink); err != nil {
				b.Fatal(err)
			}
			b.host.Content = map[string]string{"shop_data": "new", "shop_files": "new"}
			failed := 0
			b.host.Fault = func(op string, after bool) error {
				if op == at && !after {
					failed++
					return errors.New("no")
				}
				return nil
			}
			var err error
			if at == "Containers.Stop" || at == "Volumes.Restore" {
				err = b.engine.RestoreVolumes(b.Context(), "shop", ask.RestoreOptions{Name: "s", Stop: true}, b.sink)
			} else {
				err = b.engine.SnapshotVolumes(b.Context(), "shop", ask.SnapshotOptions{Name: "t"}, b.sink)
			}
			b.host.Fault = nil
			if err == nil || failed == 0 {
				b.Errorf("%s failed %d times, and it came to %v", at, failed, err)
			}
			for name, row := range b.rows("shop") {
				if row.State != "running" {
					b.Errorf("%s: %s is %s", at, name, row.State)
				}
			}
			if b.host.Content["shop_data"] != "new" || b.host.Content["shop_files"] != "new" {
				b.Errorf("%s: the volumes have %v", at, b.host.Content)
			}
		})
	}
}

// TestSnapshotNamesAreCheckedFirst: nothing stands still for a name that none can have.
func TestSnapshotNamesAreCheckedFirst(t *testing.T) {
	run(t, func(b *bench) {
		b.up(keeping(), ask.UpOptions{})
		for _, name := range []string{"..", "a/b", ".x", strings.Repeat("x", 256)} {
			ops := b.changes(func() {
				if err := b.engine.SnapshotVolumes(b.Context(), "shop", ask.SnapshotOptions{Name: name}, b.sink); !errors.Is(err, errdefs.ErrInvalidArgument) {
					b.Errorf("%.10s: %v", name, err)
				}
			})
			if len(ops) > 0 {
				b.Errorf("%.10s: it did %v", name, ops)
			}
		}
	})
}

// TestSnapshotsWithoutAName may follow each other within a second.
func TestSnapshotsWithoutAName(t *testing.T) {
	run(t, func(b *bench) {
		b.up(keeping(), ask.UpOptions{})
		for range 3 {
			if err := b.engine.SnapshotVolumes(b.Context(), "shop", ask.SnapshotOptions{}, b.sink); err != nil {
				b.Fatal(err)
			}
		}
		all, err := b.engine.Snapshots(b.Context(), "shop")
		if err != nil || len(all) != 3 || all[1].Name != all[0].Name+"-2" || all[2].Name != all[0].Name+"-3" {
			b.Errorf("there are %+v, %v", all, err)
		}
	})
}

// A restore that a daemon does not live to end the next one ends, and starts what was stopped for it; what a snapshot has paused goes on. Whichever operation the daemon dies at.
func TestCommandsOnVolumesAreCarriedToTheirEnd(t *testing.T) {
	for verb, do := range map[string]func(b *bench) error{
		"restore": func(b *bench) error {
			return b.engine.RestoreVolumes(b.Context(), "shop", ask.RestoreOptions{Name: "s", Stop: true}, nil)
		},
		"snapshot": func(b *bench) error {
			return b.engine.SnapshotVolumes(b.Context(), "shop", ask.SnapshotOptions{Name: "t"}, nil)
		},
		"snapshot --stop": func(b *bench) error {
			return b.engine.SnapshotVolumes(b.Context(), "shop", ask.SnapshotOptions{Name: "t", Stop: true}, nil)
		},
	} {
		died := true
		for n := 1; died && !t.Failed(); n++ {
			died = false
			run(t, func(b *bench) {
				b.up(keeping(), ask.UpOptions{})
				b.host.Content = map[string]string{"shop_data": "old", "shop_files": "old"}
				if err := b.engine.SnapshotVolumes(b.Context(), "shop", ask.SnapshotOptions{Name: "s"}, b.sink); err != nil {
					b.Fatal(err)
				}
				b.host.Content = map[string]string{"shop_data": "new", "shop_files": "new"}
				b.cut.At(n)
				err := do(b)
				if died = b.cut.Died(); !died && err != nil {
					b.Fatalf("%s: %v", verb, err)
				}
				b.shut()
				b.cut.Over()
				b.boot()
				b.heal()
				b.same(fmt.Sprintf("%s, killed at operation %d: runs", verb, n), b.running(), "app-1 db-1 idle-1")
				want := "new"
				if verb == "restore" {
					want = "old"
				}
				if b.host.Content["shop_data"] != want || b.host.Content["shop_files"] != want {
					b.Errorf("%s, killed at operation %d: the volumes have %v", verb, n, b.host.Content)
				}
				if ops := b.changes(func() { b.up(keeping(), ask.UpOptions{}) }); len(ops) > 0 {
					b.Errorf("%s, killed at operation %d: an up does %v", verb, n, ops)
				}
			})
		}
	}
}

func TestCloneIntoAnotherProject(t *testing.T) {
	run(t, func(b *bench) {
		b.up(keeping(), ask.UpOptions{})
		b.host.Content = map[string]string{"shop_data": "rows"}
		branch := keeping()
		branch.Name = "branch"
		branch.Networks = map[string]*spec.Network{"default": {Key: "default", Name: "branch_default"}}
		branch.Volumes = map[string]*spec.Volume{"data": {Key: "data", Name: "branch_data"}, "files": {Key: "files", Name: "branch_files", External: true}}
		delete(branch.Services, "app")
		o := ask.CloneOptions{From: "shop", Source: "data", Target: "data"}
		if err := b.engine.CloneVolume(b.Context(), branch, o, b.sink); err != nil {
			b.Fatal(err)
		}
		if b.host.Content["branch_data"] != "rows" {
			b.Errorf("the volumes have %v", b.host.Content)
		}
		if ops := about(b.changes(func() { b.up(branch, ask.UpOptions{}) }), "Volumes."); len(ops) > 0 {
			b.Errorf("an up after it does %v", ops)
		}
		for want, change := range map[string]func(o *ask.CloneOptions){
			"there is a volume branch_data":                       func(*ask.CloneOptions) {},
			"what has volume branch_data runs: branch-db-1":       func(o *ask.CloneOptions) { o.Replace = true },
			"no volume nothing":                                   func(o *ask.CloneOptions) { o.Source = "nothing" },
			"the file has no volume nothing (it has data, files)": func(o *ask.CloneOptions) { o.Target = "nothing" },
			"external":                        func(o *ask.CloneOptions) { o.Target = "files" },
			"it is volume branch_data itself": func(o *ask.CloneOptions) { o.From, o.Replace = "", true },
		} {
			with := o
			change(&with)
			if err := b.engine.CloneVolume(b.Context(), branch, with, b.sink); err == nil || !strings.Contains(err.Error(), want) {
				b.Errorf("%v, want %q", err, want)
			}
		}
	})
}

// TestNothingStartsWithAVolumeThatIsCopied: what another project, whose turn is its own, makes of the volume meanwhile waits for the end of it. It would write to what is
// copied, or keep the content that goes.
func TestNothingStartsWithAVolumeThatIsCopied(t *testing.T) {
	for _, at := range []string{"Volumes.Snapshot", "Volumes.Restore", "Volumes.Clone"} {
		run(t, func(b *bench) {
			b.up(keeping(), ask.UpOptions{})
			b.must(b.engine.SnapshotVolumes(b.Context(), "shop", ask.SnapshotOptions{Name: "s"}, b.sink))
			other := project(service("reader", func(s *spec.Service) { s.Mounts = []spec.Mount{{Type: "volume", Source: "theirs", Target: "/data"}} }), service("beside"))
			other.Name = "other"
			other.Networks = map[string]*spec.Network{"default": {Key: "default", Name: "other_default"}}
			other.Volumes = map[string]*spec.Volume{"theirs": {Key: "theirs", Name: "shop_data", External: true}}
			third := project(other.Services["reader"])
			third.Name, third.Networks, third.Volumes = "third", map[string]*spec.Network{"default": {Key: "default", Name: "third_default"}}, other.Volumes
			b.host.Program = func(c runtime.Config) fake.Program {
				if c.Labels["com.docker.compose.oneoff"] == "True" {
					return fake.Program{For: time.Second}
				}
				return fake.Program{}
			}
			starts := func() int { return len(about(b.host.Ops(), "Containers.Start")) }
			done := make(chan error, 2)
			var between string
			b.host.Fault = func(op string, after bool) error {
				if op == at && !after {
					before := starts()
					go func() { done <- b.engine.Up(b.Context(), other, ask.UpOptions{}, b.sink) }()
					go func() {
						_, err := b.engine.Run(b.Context(), third, ask.RunOptions{Service: "reader", Args: []string{"ls"}, Remove: true}, process.IO{}, b.sink)
						done <- err
					}()
					synctest.Wait()                       // until they cannot go on
					if now := starts(); now != before+1 { // who has no volume
						b.Errorf("%s: meanwhile %d start", at, now-before)
					}
					rows := b.rows("other")
					between = rows["other-reader-1"].State + " " + rows["other-beside-1"].State
				}
				return nil
			}
			switch at {
			case "Volumes.Snapshot":
				b.must(b.engine.SnapshotVolumes(b.Context(), "shop", ask.SnapshotOptions{Name: "t"}, b.sink))
			case "Volumes.Restore":
				b.must(b.engine.RestoreVolumes(b.Context(), "shop", ask.RestoreOptions{Name: "s", Stop: true}, b.sink))
			case "Volumes.Clone":
				p := keeping()
				p.Volumes["copy"] = &spec.Volume{Key: "copy", Name: "shop_copy"}
				b.must(b.engine.CloneVolume(b.Context(), p, ask.CloneOptions{Source: "data", Target: "copy"}, b.sink))
			}
			b.must(<-done)
			b.must(<-done)
			if between != "created running" {
				b.Errorf("%s: meanwhile who has the volume and who has not are %s, want created and running", at, between)
			}
			if now := b.rows("other")["other-reader-1"].State; now != "running" {
				b.Errorf("%s: then who has the volume is %s", at, now)
			}
		})
	}
}
