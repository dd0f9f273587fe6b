package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/desire"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/spec"
)

// rolling is a service that is updated in turns, of one version.
func rolling(replicas int, version string, change ...func(*spec.Rollout)) *spec.Service {
	return service("web", func(s *spec.Service) {
		s.Replicas = replicas
		s.Environment["VERSION"] = version
		s.Ports = []spec.Port{{Published: 8080, PublishedEnd: uint16(8080 + replicas - 1), Target: 80, Protocol: "tcp"}}
		s.Deploy = &spec.Deploy{Update: &spec.Rollout{Monitor: 2 * time.Second}, Rollback: &spec.Rollout{Monitor: time.Second}}
		for _, c := range change {
			c(s.Deploy.Update)
		}
	})
}

func startFirst(r *spec.Rollout) { r.Order = "start-first" }

func onFailure(action string) func(*spec.Rollout) {
	return func(r *spec.Rollout) { r.FailureAction = action }
}

// bad makes every container of a version exit a second after its start.
func bad(b *bench, version string, numbers ...string) {
	b.host.Program = func(c runtime.Config) fake.Program {
		if slices.Contains(c.Spec.Process.Env, "VERSION="+version) && (len(numbers) == 0 || slices.Contains(numbers, c.Labels["com.docker.compose.container-number"])) {
			return fake.Program{For: time.Second, Code: 3}
		}
		return fake.Program{}
	}
}

// serving are the running containers of the project, name to version and port.
func (b *bench) serving() map[string]string {
	b.Helper()
	out := map[string]string{}
	states, err := b.host.Set().Containers.List(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	boxes, err := b.host.Set().Networks.Sandboxes(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	ports := map[string]string{}
	for _, box := range boxes {
		for _, p := range box.Ports {
			ports[box.ContainerID] += fmt.Sprintf(" %d", p.HostPort)
		}
	}
	for _, s := range states {
		for _, v := range s.Config.Spec.Process.Env {
			if version, ok := strings.CutPrefix(v, "VERSION="); ok && s.Status == runtime.Running {
				out[s.Config.Facts["name"]] += version + ports[s.ID]
			}
		}
	}
	return out
}

// versions expects what serves, each on the port of the range that its replica has had from the first time on.
func (b *bench) versions(when string, want map[string]string) {
	b.Helper()
	got := map[string]string{}
	ports := map[string]string{}
	for name, s := range b.serving() {
		got[name], ports[name], _ = strings.Cut(s, " ")
		if b.ports[name] == "" {
			b.ports[name] = ports[name]
		}
		if ports[name] == "" || ports[name] != b.ports[name] {
			b.Errorf("%s: %s had port %s and has %s", when, name, b.ports[name], ports[name])
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		b.Errorf("%s: %v, expected %v", when, got, want)
	}
}

// expect is versions, and that there are no other containers.
func (b *bench) expect(when string, want map[string]string) {
	b.Helper()
	b.versions(when, want)
	if n := len(b.rows("shop")); n != len(want) {
		b.Errorf("%s: %d containers: %v", when, n, b.rows("shop"))
	}
}

var both = map[string]string{"shop-web-1": "1", "shop-web-2": "1"}

func TestRollingUpdates(t *testing.T) {
	for _, order := range []string{"start-first", "stop-first"} {
		t.Run(order, func(t *testing.T) {
			run(t, func(b *bench) {
				p := project(rolling(2, "1"))
				b.up(p, ask.UpOptions{})
				b.expect("at first", both)
				set := func(r *spec.Rollout) { r.Order, r.Delay = order, time.Minute }
				begin := time.Now()
				b.up(project(rolling(2, "2", set)), ask.UpOptions{})
				b.expect("after the update", map[string]string{"shop-web-1": "2", "shop-web-2": "2"})
				// Two batches that are watched for 2 s, and a minute between them.
				if took := time.Since(begin); took != 64*time.Second {
					b.Errorf("it took %s", took)
				}
				said := b.said()
				stopped, started := index(said, "container shop-web-1 Started"), 0
				for i, s := range said {
					if strings.HasSuffix(s, "_shop-web-1 Stopping") {
						started = i
					}
				}
				stopped = slices.Index(said[stopped+1:], "container shop-web-1 Started") + stopped + 1
				if (order == "start-first") != (stopped < started) {
					b.Errorf("%s: %v", order, said)
				}
				if ops := b.changes(func() { b.up(project(rolling(2, "2", set)), ask.UpOptions{}) }); len(ops) > 0 {
					b.Errorf("another up does %v", ops)
				}
				// And once more: what the first left must not be in the way.
				b.up(project(rolling(2, "3", set)), ask.UpOptions{})
				b.expect("after the next update", map[string]string{"shop-web-1": "3", "shop-web-2": "3"})
				b.down(ask.DownOptions{Volumes: true})
			})
		})
	}
}

// TestParallelismOfUpdates: how many are replaced at a time shows in how long it takes.
func TestParallelismOfUpdates(t *testing.T) {
	for n, want := range map[int64]time.Duration{0: 2 * time.Second, 1: 10 * time.Second, 2: 6 * time.Second, 5: 2 * time.Second} {
		run(t, func(b *bench) {
			set := func(r *spec.Rollout) { r.Parallelism = &n }
			b.up(project(rolling(5, "1", set)), ask.UpOptions{})
			begin := time.Now()
			b.up(project(rolling(5, "2", set)), ask.UpOptions{})
			if took := time.Since(begin); took != want {
				b.Errorf("parallelism %d took %s, expected %s", n, took, want)
			}
		})
	}
}

// TestWithoutUpdateConfigAllAreReplacedAtOnce as docker compose does, which watches nothing.
func TestWithoutUpdateConfigAllAreReplacedAtOnce(t *testing.T) {
	run(t, func(b *bench) {
		plain := func(version string) *spec.Project {
			s := rolling(2, version)
			s.Deploy = nil
			return project(s)
		}
		b.up(plain("1"), ask.UpOptions{})
		begin := time.Now()
		b.up(plain("2"), ask.UpOptions{})
		if took := time.Since(begin); took != 0 {
			b.Errorf("it took %s", took)
		}
	})
}

func TestFailureActions(t *testing.T) {
	for _, tt := range []struct {
		order, action string
		says          string
		after         map[string]string
		rows          int
	}{
		{"start-first", "pause", "the update is paused: of 2 containers 1 failed and 0 are new", both, 2},
		{"stop-first", "pause", "the update is paused", map[string]string{"shop-web-2": "1"}, 3},
		{"start-first", "rollback", "the service was rolled back", both, 2},
		{"stop-first", "rollback", "the service was rolled back", both, 2},
		{"start-first", "continue", "the update went on as failure_action says: of 2 containers 1 failed and 1 are new", map[string]string{"shop-web-1": "1", "shop-web-2": "2"}, 2},
		{"stop-first", "continue", "the update went on", map[string]string{"shop-web-2": "2"}, 3},
	} {
		t.Run(tt.order+" "+tt.action, func(t *testing.T) {
			run(t, func(b *bench) {
				set := func(r *spec.Rollout) { r.Order, r.FailureAction = tt.order, tt.action }
				b.up(project(rolling(2, "1", set)), ask.UpOptions{})
				before := ids(b)
				bad(b, "2", "1")
				err := b.engine.Up(b.Context(), project(rolling(2, "2", set)), ask.UpOptions{}, b.sink)
				if err == nil {
					b.Fatal("up says nothing")
				}
				for _, want := range []string{"cannot update service web: container shop-web-1 exited with code 3", tt.says} {
					if !strings.Contains(err.Error(), want) {
						b.Errorf("up says %q, not %q", err, want)
					}
				}
				synctest.Wait()
				b.versions("after the failure", tt.after)
				if rows := b.rows("shop"); len(rows) != tt.rows {
					b.Errorf("%d containers: %+v", len(rows), rows)
				}
				if tt.action == "rollback" && ids(b) != before {
					b.Errorf("other containers than before: %s, then %s", before, ids(b))
				}
				// The next daemon leaves it at that.
				b.reboot()
				time.Sleep(time.Minute)
				b.versions("with the next daemon", tt.after)
				// A user's next up tries again.
				b.host.Program = nil
				b.up(project(rolling(2, "2", set)), ask.UpOptions{})
				b.expect("after a better try", map[string]string{"shop-web-1": "2", "shop-web-2": "2"})
				b.down(ask.DownOptions{Volumes: true})
			})
		})
	}
}

// TestWhyAfterARollback: a container that an update has failed to replace is explained as before.
func TestWhyAfterARollback(t *testing.T) {
	remembering(t, func(b *bench) {
		set := func(r *spec.Rollout) { r.Order, r.FailureAction = "start-first", "rollback" }
		b.up(project(rolling(1, "1", set)), ask.UpOptions{Command: "up -d"})
		bad(b, "2", "1")
		if err := b.engine.Up(b.Context(), project(rolling(1, "2", set)), ask.UpOptions{Command: "up"}, nil); err == nil {
			b.Fatal("up says nothing")
		}
		if s := b.why("web").Start; s == nil || s.Command != "up -d" {
			b.Errorf("its start is %+v", s)
		}
	})
}

// TestAFailedUpdateIsNotTriedAgain: what it has stopped, and could not start again in another version, is its failure_action's, and nobody else's.
func TestAFailedUpdateIsNotTriedAgain(t *testing.T) {
	run(t, func(b *bench) {
		set := func(r *spec.Rollout) { r.Order, r.FailureAction = "stop-first", "pause" }
		b.up(project(rolling(2, "1", set)), ask.UpOptions{})
		var room atomic.Bool
		b.host.Program = func(c runtime.Config) fake.Program {
			if !room.Load() && slices.Contains(c.Spec.Process.Env, "VERSION=2") {
				return fake.Program{StartError: errors.New("no room")}
			}
			return fake.Program{}
		}
		if err := b.engine.Up(b.Context(), project(rolling(2, "2", set)), ask.UpOptions{}, nil); err == nil || !strings.Contains(err.Error(), "the update is paused") {
			b.Errorf("it came to %v", err)
		}
		room.Store(true)
		time.Sleep(5 * time.Minute)
		b.versions("after the failure", map[string]string{"shop-web-2": "1"})
	})
}

// TestRolloutsWaitForThePortsOfWhatHasEnded: the network of a container that ends by itself is taken down beside everything else. Whoever
// gets its port, a successor or, in a rollback, the predecessor, is started after that.
func TestRolloutsWaitForThePortsOfWhatHasEnded(t *testing.T) {
	for _, tt := range []struct {
		name string
		ends string // the version whose first replica ends
		says string
	}{{"update", "1", ""}, {"rollback", "2", "the service was rolled back"}} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, func(b *bench) {
				b.host.Fault = func(op string, after bool) error {
					if op == "Networks.Teardown" && !after {
						time.Sleep(10 * time.Second)
					}
					return nil
				}
				bad(b, tt.ends, "1")
				b.up(project(rolling(2, "1", onFailure("rollback"))), ask.UpOptions{})
				time.Sleep(2 * time.Second) // fake: what ends has ended, and is being taken down
				err := b.engine.Up(b.Context(), project(rolling(2, "2", onFailure("rollback"))), ask.UpOptions{}, b.sink)
				if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
					b.Errorf("up says %v", err)
				}
				after := map[string]string{"shop-web-1": "1", "shop-web-2": "1"}
				if tt.says == "" {
					after = map[string]string{"shop-web-1": "2", "shop-web-2": "2"}
				}
				b.expect("at the end", after)
			})
		})
	}
}

// ids are the containers, as text.
func ids(b *bench) string {
	var all []string
	for _, c := range b.rows("shop") {
		all = append(all, c.ID)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// TestARollbackTakesAllBack: also those that had been replaced with success, one batch after the other.
func TestARollbackTakesAllBack(t *testing.T) {
	for _, order := range []string{"start-first", "stop-first"} {
		for _, back := range []string{"start-first", "stop-first"} {
			t.Run(order+" and "+back, func(t *testing.T) {
				run(t, func(b *bench) {
					web := func(version string) *spec.Project {
						s := rolling(3, version, onFailure("rollback"), func(r *spec.Rollout) { r.Order = order })
						s.Deploy.Rollback.Order = back
						s.Mounts = []spec.Mount{{Type: "volume", Target: "/cache"}}
						return project(s)
					}
					b.up(web("1"), ask.UpOptions{})
					before, mounts := ids(b), b.rows("shop")["shop-web-1"].Mounts
					bad(b, "2", "3")
					err := b.engine.Up(b.Context(), web("2"), ask.UpOptions{}, b.sink)
					if err == nil || !strings.Contains(err.Error(), "shop-web-3 exited with code 3") || !strings.Contains(err.Error(), "rolled back") {
						b.Fatalf("up says %v", err)
					}
					b.expect("after the rollback", map[string]string{"shop-web-1": "1", "shop-web-2": "1", "shop-web-3": "1"})
					if after := ids(b); after != before {
						b.Errorf("other containers than before: %s, then %s", before, after)
					}
					if after := b.rows("shop")["shop-web-1"].Mounts; !slices.Equal(mounts, after) {
						b.Errorf("the anonymous volume: %v, then %v", mounts, after)
					}
					// What is wished for is what there is: nothing drifts.
					d, err := b.engine.Drift(b.Context(), "shop")
					if err != nil || len(d.Changes) > 0 {
						b.Errorf("drift: %+v, %v", d, err)
					}
				})
			})
		}
	}
}

// TestFailuresAreTolerated up to max_failure_ratio.
func TestFailuresAreTolerated(t *testing.T) {
	run(t, func(b *bench) {
		set := func(r *spec.Rollout) {
			r.Order, r.FailureAction, r.MaxFailureRatio = "start-first", "rollback", 0.5
		}
		b.up(project(rolling(2, "1", set)), ask.UpOptions{})
		bad(b, "2", "1")
		b.up(project(rolling(2, "2", set)), ask.UpOptions{})
		b.expect("after the update", map[string]string{"shop-web-1": "1", "shop-web-2": "2"})
		if !slices.Contains(b.said(), "container web Update goes on") {
			b.Errorf("nothing was said of it: %v", b.said())
		}
	})
}

// TestAnUnhealthyVersionNeverServes: with start-first, names and port go over when the new container is healthy.
func TestAnUnhealthyVersionNeverServes(t *testing.T) {
	run(t, func(b *bench) {
		var mu sync.Mutex
		var served []string
		b.host.ExecResult = func(c runtime.Config, p runtime.Process) (int, time.Duration, string) {
			now := b.serving()["shop-web-1"]
			mu.Lock()
			defer mu.Unlock()
			served = append(served, now)
			if slices.Contains(c.Spec.Process.Env, "VERSION=2") {
				return 1, 0, "no database"
			}
			return 0, 0, ""
		}
		web := func(version string) *spec.Project {
			s := rolling(1, version, startFirst, onFailure("rollback"))
			healthy(s)
			return project(s)
		}
		b.up(web("1"), ask.UpOptions{})
		err := b.engine.Up(b.Context(), web("2"), ask.UpOptions{}, b.sink)
		if err == nil || !strings.Contains(err.Error(), "container shop-web-1 is unhealthy") || !strings.Contains(err.Error(), "rolled back") || !strings.Contains(fmt.Sprintf("%+v", err), "no database") {
			b.Errorf("up says %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		if slices.ContainsFunc(served, func(s string) bool { return strings.Contains(s, "2 8080") }) {
			b.Errorf("the new version had the port: %v", served)
		}
		b.expect("after the rollback", map[string]string{"shop-web-1": "1"})
	})
}

// TestStartFirstIsRefused where there can be one only.
func TestStartFirstIsRefused(t *testing.T) {
	for want, change := range map[string]func(*spec.Service){
		"ipv4_address": func(s *spec.Service) { s.Networks["default"] = &spec.Endpoint{IPv4: "10.0.0.9"} },
		"network_mode": func(s *spec.Service) { s.Networks, s.NetworkMode, s.Ports = nil, "host", nil },
		"mac_address":  func(s *spec.Service) { s.MacAddress = "02:42:ac:11:65:43" },
	} {
		s := rolling(1, "1", startFirst)
		change(s)
		_, diags := desire.Of(project(s))
		if len(diags) != 1 || diags[0].Code != "start-first-impossible" || !strings.Contains(diags[0].Detail, want) || !strings.Contains(diags[0].Hint, "stop-first") || diags[0].Address != "services.web.deploy.update_config.order" {
			t.Errorf("%s: %v", want, diags)
		}
	}
}

// TestACancelledUpdateGoesOn: Ctrl-C leaves both containers, and the next up goes on.
func TestACancelledUpdateGoesOn(t *testing.T) {
	run(t, func(b *bench) {
		b.up(project(rolling(2, "1", startFirst)), ask.UpOptions{})
		ctx, cancel := context.WithTimeout(b.Context(), time.Second)
		defer cancel()
		if err := b.engine.Up(ctx, project(rolling(2, "2", startFirst)), ask.UpOptions{}, nil); err == nil {
			b.Fatal("it was not cancelled")
		}
		rows := b.rows("shop")
		if len(rows) != 3 || rows["shop-web-1"].State != "running" {
			b.Errorf("got %+v", rows)
		}
		b.up(project(rolling(2, "2", startFirst)), ask.UpOptions{})
		b.expect("at the end", map[string]string{"shop-web-1": "2", "shop-web-2": "2"})
	})
}

// TestKilledInARollingUpdate: wherever the daemon is killed, the next one ends at the new version, and with start-first every replica's
// port leads to a container that runs at each moment of it.
func TestKilledInARollingUpdate(t *testing.T) {
	for _, order := range []string{"start-first", "stop-first"} {
		t.Run(order, func(t *testing.T) {
			var always func(b *bench) error
			if order == "start-first" {
				always = func(b *bench) error {
					if s := b.serving(); strings.Count(fmt.Sprint(s), " 808") != 2 {
						return fmt.Errorf("a port leads nowhere: %v", s)
					}
					return nil
				}
			}
			killEverywhere(t, func(level string) *spec.Project {
				s := rolling(2, level, onFailure("rollback"), func(r *spec.Rollout) { r.Order = order })
				s.Restart.Name = "always"
				s.Mounts = []spec.Mount{{Type: "volume", Target: "/cache"}}
				return project(s)
			}, always, "shop-web-1", "shop-web-2")
		})
	}
}

// TestPredecessorsStayStopped: the next daemon starts nothing again that an update has stopped, whatever its restart policy says, and
// neither does `start`.
func TestPredecessorsStayStopped(t *testing.T) {
	run(t, func(b *bench) {
		web := func(version string) *spec.Project {
			s := rolling(2, version, func(r *spec.Rollout) { r.Delay = time.Minute })
			s.Restart.Name = "always"
			return project(s)
		}
		b.up(web("1"), ask.UpOptions{})
		b.expect("at first", both)
		ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
		defer cancel()
		if err := b.engine.Up(ctx, web("2"), ask.UpOptions{}, nil); err == nil {
			b.Fatal("it was not cancelled")
		}
		check := func(when string) {
			b.Helper()
			time.Sleep(time.Minute)
			b.versions(when, map[string]string{"shop-web-1": "2", "shop-web-2": "1"})
			for name, row := range b.rows("shop") {
				if strings.HasSuffix(name, "_shop-web-1") != (row.State == "exited") {
					b.Errorf("%s: %s is %s", when, name, row.State)
				}
			}
		}
		check("when the update was cancelled")
		b.reboot()
		check("with the next daemon")
		if err := b.engine.Start(b.Context(), "shop", ask.ServiceOptions{}, nil); err != nil {
			b.Fatal(err)
		}
		check("after start")
	})
}

// TestLogsOfAReplicaAreOne: containers that were there at the same time have files of their own, and their replica one log.
func TestLogsOfAReplicaAreOne(t *testing.T) {
	b := live(t)
	web := func(version string) *spec.Project {
		return project(rolling(1, version, startFirst, func(r *spec.Rollout) { r.Monitor = time.Millisecond }))
	}
	write := func(line string) {
		list, err := b.host.Set().Containers.List(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		b.writeLog(list[0].Config.Log.Path, time.Now(), line)
	}
	for _, version := range []string{"1", "2", "3"} {
		b.up(web(version), ask.UpOptions{})
		write("of " + version)
	}
	for tail, want := range map[int][]string{-1: {"of 1", "of 2", "of 3"}, 0: nil, 1: {"of 3"}, 2: {"of 2", "of 3"}, 3: {"of 1", "of 2", "of 3"}} {
		var lines []string
		for _, l := range want {
			lines = append(lines, "shop-web-1 "+l)
		}
		if got := b.logs(ask.LogOptions{Tail: tail}); !slices.Equal(got, lines) {
			b.Errorf("tail %d: %q, expected %q", tail, got, lines)
		}
	}
	if files, err := filepath.Glob(b.roots.InState("logs", "shop", "*")); err != nil || len(files) != 2 {
		b.Errorf("the files are %v, %v", files, err)
	}
}
