package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// rolling is a project with a service of n containers that is updated in turns.
func rolling(n int, change ...func(*Rollout)) *Desired {
	web := svc("web", nil)
	web.Replicas = n
	web.Update = &Rollout{Parallelism: 1, Monitor: 5 * time.Second, OnFailure: Rollback}
	for _, c := range change {
		c(web.Update)
	}
	return want(web)
}

func startFirst(r *Rollout) { r.StartFirst = true }

// other is d with another environment of web.
func other(d *Desired) *Desired {
	d.Services["web"].Spec.Environment = map[string]string{"LEVEL": "debug"}
	return d
}

// numbered is made with ids of their own.
func numbered(d *Desired) *Observed {
	h := made(d)
	for i := range h.Containers {
		h.Containers[i].ID = fmt.Sprintf("old%d", h.Containers[i].Replica)
	}
	return h
}

// successor adds to h the container that replaces replica n, made as d says.
func successor(h *Observed, d *Desired, n int, change func(old, new *ContainerState)) *Observed {
	i := slices.IndexFunc(h.Containers, func(c ContainerState) bool { return c.Replica == n })
	new := h.Containers[i]
	new.ID, new.Succeeds, new.Encoded = fmt.Sprintf("new%d", n), h.Containers[i].ID, Encode(d.Services["web"].Spec)
	change(&h.Containers[i], &new)
	h.Containers = append(h.Containers, new)
	return h
}

func TestRolloutGoldens(t *testing.T) {
	for _, tt := range []struct {
		name string
		plan func() (*Desired, *Observed, Options)
		text string
	}{
		{"start-first, one after the other", func() (*Desired, *Observed, Options) {
			d := rolling(2, startFirst, func(r *Rollout) { r.Delay = time.Minute })
			return other(d), numbered(rolling(2)), Options{}
		}, `
recreate container shop-web-1
    environment.LEVEL: (none) -> "debug"
recreate container shop-web-2
    environment.LEVEL: (none) -> "debug"
--
#1 create container shop-web-1  (container:web/1: environment.LEVEL: (none) -> "debug")
#2 [#1] start container shop-web-1  (container:web/1: environment.LEVEL: (none) -> "debug")
#3 [#2] wait for container shop-web-1 to be ready  (container:web/1: environment.LEVEL: (none) -> "debug")
#4 [#3] hand names and ports over to container shop-web-1  (container:web/1: environment.LEVEL: (none) -> "debug")
#5 [#4] watch container shop-web-1 for 5s  (container:web/1: environment.LEVEL: (none) -> "debug")
#6 [#4] stop container old1_shop-web-1  (container:web/1: environment.LEVEL: (none) -> "debug")
#7 [~#5 ~#6] go on with batch 2 of web after 1m0s  (container:web/1: environment.LEVEL: (none) -> "debug")
#8 [#7] create container shop-web-2  (container:web/2: environment.LEVEL: (none) -> "debug")
#9 [#7 #8] start container shop-web-2  (container:web/2: environment.LEVEL: (none) -> "debug")
#10 [#9] wait for container shop-web-2 to be ready  (container:web/2: environment.LEVEL: (none) -> "debug")
#11 [#10] hand names and ports over to container shop-web-2  (container:web/2: environment.LEVEL: (none) -> "debug")
#12 [#11] watch container shop-web-2 for 5s  (container:web/2: environment.LEVEL: (none) -> "debug")
#13 [#11] stop container old2_shop-web-2  (container:web/2: environment.LEVEL: (none) -> "debug")
#14 [~#5 ~#6 ~#12 ~#13] end the update of web, on failure rollback  (container:web/1: environment.LEVEL: (none) -> "debug")
#15 [#5 #6 #14] delete container old1_shop-web-1  (container:web/1: environment.LEVEL: (none) -> "debug")
#16 [#12 #13 #14] delete container old2_shop-web-2  (container:web/2: environment.LEVEL: (none) -> "debug")
`},
		{"stop-first, all at once, and one that did not run", func() (*Desired, *Observed, Options) {
			d := rolling(2, func(r *Rollout) { r.Parallelism = 0 })
			h := numbered(rolling(2))
			h.Containers[1].Status = StatusExited
			return other(d), h, Options{}
		}, `
recreate container shop-web-1
    environment.LEVEL: (none) -> "debug"
recreate container shop-web-2
    environment.LEVEL: (none) -> "debug"
--
#1 create container shop-web-1  (container:web/1: environment.LEVEL: (none) -> "debug")
#2 [#1] stop container old1_shop-web-1  (container:web/1: environment.LEVEL: (none) -> "debug")
#3 [#1 #2] start container shop-web-1  (container:web/1: environment.LEVEL: (none) -> "debug")
#4 [#3] watch container shop-web-1 for 5s  (container:web/1: environment.LEVEL: (none) -> "debug")
#5 create container shop-web-2  (container:web/2: environment.LEVEL: (none) -> "debug")
#6 [#5] stop container old2_shop-web-2  (container:web/2: environment.LEVEL: (none) -> "debug")
#7 [#5 #6] start container shop-web-2  (container:web/2: environment.LEVEL: (none) -> "debug")
#8 [#7] watch container shop-web-2 for 5s  (container:web/2: environment.LEVEL: (none) -> "debug")
#9 [~#4 ~#8] end the update of web, on failure rollback  (container:web/1: environment.LEVEL: (none) -> "debug")
#10 [#4 #9] delete container old1_shop-web-1  (container:web/1: environment.LEVEL: (none) -> "debug")
#11 [#8 #9] delete container old2_shop-web-2  (container:web/2: environment.LEVEL: (none) -> "debug")
`},
		{"an update that was killed after its first handover", func() (*Desired, *Observed, Options) {
			d := other(rolling(2, startFirst))
			h := successor(numbered(rolling(2)), d, 1, func(old, new *ContainerState) { old.Relieved = true })
			return d, h, Options{}
		}, `
recreate container shop-web-1
    environment.LEVEL: (none) -> "debug"
recreate container shop-web-2
    environment.LEVEL: (none) -> "debug"
--
#1 wait for container shop-web-1 to be ready  (container:web/1: environment.LEVEL: (none) -> "debug")
#2 [#1] hand names and ports over to container shop-web-1  (container:web/1: environment.LEVEL: (none) -> "debug")
#3 [#2] watch container shop-web-1 for 5s  (container:web/1: environment.LEVEL: (none) -> "debug")
#4 [#2] stop container old1_shop-web-1  (container:web/1: environment.LEVEL: (none) -> "debug")
#5 [~#3 ~#4] go on with batch 2 of web  (container:web/1: environment.LEVEL: (none) -> "debug")
#6 [#5] create container shop-web-2  (container:web/2: environment.LEVEL: (none) -> "debug")
#7 [#5 #6] start container shop-web-2  (container:web/2: environment.LEVEL: (none) -> "debug")
#8 [#7] wait for container shop-web-2 to be ready  (container:web/2: environment.LEVEL: (none) -> "debug")
#9 [#8] hand names and ports over to container shop-web-2  (container:web/2: environment.LEVEL: (none) -> "debug")
#10 [#9] watch container shop-web-2 for 5s  (container:web/2: environment.LEVEL: (none) -> "debug")
#11 [#9] stop container old2_shop-web-2  (container:web/2: environment.LEVEL: (none) -> "debug")
#12 [~#3 ~#4 ~#10 ~#11] end the update of web, on failure rollback  (container:web/1: environment.LEVEL: (none) -> "debug")
#13 [#3 #4 #12] delete container old1_shop-web-1  (container:web/1: environment.LEVEL: (none) -> "debug")
#14 [#10 #11 #12] delete container old2_shop-web-2  (container:web/2: environment.LEVEL: (none) -> "debug")
`},
		{"the file went back before the handover", func() (*Desired, *Observed, Options) {
			h := successor(numbered(rolling(1)), other(rolling(1)), 1, func(old, new *ContainerState) {})
			return rolling(1, startFirst), h, Options{}
		}, `
remove container shop-web-1
    it was to take the place of container old1 in an update that did not end
--
#1 stop container shop-web-1  (container:web/1: it was to take the place of container old1 in an update that did not end)
#2 [#1] delete container shop-web-1  (container:web/1: it was to take the place of container old1 in an update that did not end)
`},
		{"without update_config an update that was killed ends at once", func() (*Desired, *Observed, Options) {
			d := other(rolling(1))
			h := successor(numbered(rolling(1)), d, 1, func(old, new *ContainerState) {})
			d.Services["web"].Update = nil
			return d, h, Options{}
		}, `
remove container shop-web-1
    container new1 has taken its place
--
#1 hand names and ports over to container shop-web-1  (container:web/1: container new1 has taken its place)
#2 [#1] stop container old1_shop-web-1  (container:web/1: container new1 has taken its place)
#3 [#2] delete container old1_shop-web-1  (container:web/1: container new1 has taken its place)
`},
		{"a dependent with restart goes on until the update is over", func() (*Desired, *Observed, Options) {
			d := rolling(1)
			d.Services["front"] = svc("front", dep("web", Started, true))
			h := numbered(d)
			h.Containers[0].ID, h.Containers[1].ID = "old"+h.Containers[0].Service, "old"+h.Containers[1].Service
			return other(d), h, Options{}
		}, `
restart container shop-front-1
    web, which it depends on with restart: true, is made anew or restarted
recreate container shop-web-1
    environment.LEVEL: (none) -> "debug"
--
#1 keep room for the start of container shop-front-1  (container:front/1: web, which it depends on with restart: true, is made anew or restarted)
#2 create container shop-web-1  (container:web/1: environment.LEVEL: (none) -> "debug")
#3 [#2] stop container oldweb_shop-web-1  (container:web/1: environment.LEVEL: (none) -> "debug")
#4 [#2 #3] start container shop-web-1  (container:web/1: environment.LEVEL: (none) -> "debug")
#5 [#4] watch container shop-web-1 for 5s  (container:web/1: environment.LEVEL: (none) -> "debug")
#6 [~#5] end the update of web, on failure rollback  (container:web/1: environment.LEVEL: (none) -> "debug")
#7 [#1 #6] stop container shop-front-1  (container:front/1: web, which it depends on with restart: true, is made anew or restarted)
#8 [#5 #6] delete container oldweb_shop-web-1  (container:web/1: environment.LEVEL: (none) -> "debug")
#9 [#6 #7] start container shop-front-1  (container:front/1: web, which it depends on with restart: true, is made anew or restarted)
`},
		{"what has failed is not done again by itself", func() (*Desired, *Observed, Options) {
			h := successor(numbered(rolling(2)), other(rolling(2)), 1, func(old, new *ContainerState) { old.Status = StatusExited })
			return other(rolling(2)), h, Options{Heal: true, NoDeps: true, Services: []string{"web"}}
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, diags := Build(tt.plan())
			if err := diags.Err(); err != nil {
				t.Fatal(err)
			}
			if got := p.String(); got != strings.TrimPrefix(tt.text, "\n") {
				t.Fatalf("got\n%s", got)
			}
		})
	}
}

func TestUndoGoldens(t *testing.T) {
	pairs := func() []ContainerState {
		d := rolling(3)
		h := numbered(d)
		successor(h, other(d), 1, func(old, new *ContainerState) { old.Status = StatusExited })
		successor(h, other(d), 2, func(old, new *ContainerState) {})
		return h.Containers
	}
	back := Rollout{Parallelism: 1, Monitor: time.Second, OnFailure: Pause}
	for _, tt := range []struct {
		name string
		undo Undo
		text string
	}{
		{"withdraw", Undo{Service: "web", Replicas: []int{1, 2, 3}}, `
recreate container shop-web-2
    the update of web has failed
--
#1 stop container new2_shop-web-2  (container:web/2: the update of web has failed)
#2 [#1] delete container new2_shop-web-2  (container:web/2: the update of web has failed)
`},
		{"stop-first", Undo{Service: "web", Replicas: []int{1, 2, 3}, All: true, Rollout: back}, `
recreate container shop-web-1
    the update of web has failed
recreate container shop-web-2
    the update of web has failed
--
#1 stop container new1_shop-web-1  (container:web/1: the update of web has failed)
#2 [#1] start container shop-web-1  (container:web/1: the update of web has failed)
#3 [#2] watch container shop-web-1 for 1s  (container:web/1: the update of web has failed)
#4 [#3] delete container new1_shop-web-1  (container:web/1: the update of web has failed)
#5 [~#3] go on with batch 2 of web  (container:web/1: the update of web has failed)
#6 [#5] stop container new2_shop-web-2  (container:web/2: the update of web has failed)
#7 [#6] delete container new2_shop-web-2  (container:web/2: the update of web has failed)
`},
		{"start-first", Undo{Service: "web", Replicas: []int{1}, All: true, Rollout: Rollout{StartFirst: true, Monitor: time.Second}, Created: []int{3}}, `
recreate container shop-web-1
    the update of web has failed
remove container shop-web-3
    the update of web has failed
--
#1 start container shop-web-1  (container:web/1: the update of web has failed)
#2 [#1] wait for container shop-web-1 to be ready  (container:web/1: the update of web has failed)
#3 [#2] hand names and ports over to container shop-web-1  (container:web/1: the update of web has failed)
#4 [#3] stop container new1_shop-web-1  (container:web/1: the update of web has failed)
#5 [#4] delete container new1_shop-web-1  (container:web/1: the update of web has failed)
#6 stop container shop-web-3  (container:web/3: the update of web has failed)
#7 [#6] delete container shop-web-3  (container:web/3: the update of web has failed)
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.undo.Plan("shop", pairs()).String(); got != strings.TrimPrefix(tt.text, "\n") {
				t.Errorf("got\n%s", got)
			}
		})
	}
}

func TestTolerance(t *testing.T) {
	for _, tt := range []struct {
		action FailureAction
		ratio  float64
		n      int
		want   int
	}{{Pause, 0, 10, 0}, {Pause, 0.3, 10, 3}, {Rollback, 0.29, 10, 2}, {Rollback, 1, 3, 3}, {Continue, 0, 4, 4}} {
		if got := (&Rollout{OnFailure: tt.action, MaxFailures: tt.ratio}).tolerate(tt.n); got != tt.want {
			t.Errorf("%+v: %d", tt, got)
		}
	}
	if got := fmt.Sprint((&Rollout{Parallelism: 2}).batches(5)); got != "[[0 1] [2 3] [4]]" {
		t.Errorf("batches: %s", got)
	}
}
