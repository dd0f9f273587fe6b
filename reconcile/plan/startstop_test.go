package plan

import (
	"testing"
	"time"
)

// settle gives containers of services a status other than running.
func settle(h *Observed, s Status, services ...string) {
	for i := range h.Containers {
		for _, name := range services {
			if h.Containers[i].Service == name {
				h.Containers[i].Status, h.Containers[i].Healthy = s, false
			}
		}
	}
}

func TestStopGoldens(t *testing.T) {
	five := 5 * time.Second
	for _, tt := range []struct {
		name string
		opt  StopOptions
		host func(*Observed)
		text string
	}{
		{"all, dependents first", StopOptions{Timeout: &five}, nil, `
stop container shop-api-1
    ` + "`stack stop`" + ` asked for it
stop container shop-db-1
    ` + "`stack stop`" + ` asked for it
stop container shop-side-1
    ` + "`stack stop`" + ` asked for it
stop container shop-web-1
    ` + "`stack stop`" + ` asked for it
--
#1 stop container shop-web-1  (container:web/1: ` + "`stack stop`" + ` asked for it)
#2 stop container shop-side-1  (container:side/1: ` + "`stack stop`" + ` asked for it)
#3 [#1] stop container shop-api-1  (container:api/1: ` + "`stack stop`" + ` asked for it)
#4 [#2 #3] stop container shop-db-1  (container:db/1: ` + "`stack stop`" + ` asked for it)
`},
		{"two with one between them that goes on keep their order", StopOptions{Services: []string{"db", "web"}}, nil, `
stop container shop-db-1
    ` + "`stack stop`" + ` asked for it
stop container shop-web-1
    ` + "`stack stop`" + ` asked for it
--
#1 stop container shop-web-1  (container:web/1: ` + "`stack stop`" + ` asked for it)
#2 [#1] stop container shop-db-1  (container:db/1: ` + "`stack stop`" + ` asked for it)
`},
		{"what waits for its policy is stopped, what has ended stays so, what never ran is left alone", StopOptions{Services: []string{"api", "side", "web"}},
			func(h *Observed) {
				settle(h, StatusRestarting, "web")
				settle(h, StatusExited, "api")
				settle(h, StatusCreated, "side")
			}, `
stop container shop-web-1
    ` + "`stack stop`" + ` asked for it
--
#1 stop container shop-web-1  (container:web/1: ` + "`stack stop`" + ` asked for it)
#2 [#1] stop container shop-api-1  (container:api/1: ` + "`stack stop`" + ` asked for it)
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			chainGolden(t, tt.host, tt.text, func(h *Observed, on map[string]map[string]Dependency) *Plan {
				tt.opt.DependsOn = on
				return BuildStop("shop", h, tt.opt)
			})
		})
	}
}

func TestStartGoldens(t *testing.T) {
	for _, tt := range []struct {
		name string
		opt  StartOptions
		host func(*Observed)
		text string
	}{
		{"all, through a gate", StartOptions{}, func(h *Observed) { settle(h, StatusExited, "db", "api", "web", "side") }, `
start container shop-api-1
    ` + "`stack start`" + ` asked for it
start container shop-db-1
    ` + "`stack start`" + ` asked for it
start container shop-side-1
    ` + "`stack start`" + ` asked for it
start container shop-web-1
    ` + "`stack start`" + ` asked for it
--
#1 start container shop-db-1  (container:db/1: ` + "`stack start`" + ` asked for it)
#2 [#1] wait for db to be healthy  (container:db/1: api depends on it)
#3 [#2] start container shop-api-1  (container:api/1: ` + "`stack start`" + ` asked for it)
#4 [#1] start container shop-side-1  (container:side/1: ` + "`stack start`" + ` asked for it)
#5 [#3] start container shop-web-1  (container:web/1: ` + "`stack start`" + ` asked for it)
`},
		{"what it depends on is started with it", StartOptions{Services: []string{"web"}}, func(h *Observed) { settle(h, StatusExited, "db", "api", "web", "side") }, `
start container shop-api-1
    web, which is started, depends on it
start container shop-db-1
    api, which is started, depends on it
start container shop-web-1
    ` + "`stack start`" + ` asked for it
--
#1 start container shop-db-1  (container:db/1: api, which is started, depends on it)
#2 [#1] wait for db to be healthy  (container:db/1: api depends on it)
#3 [#2] start container shop-api-1  (container:api/1: web, which is started, depends on it)
#4 [#3] start container shop-web-1  (container:web/1: ` + "`stack start`" + ` asked for it)
`},
		{"what one that runs depends on is left alone", StartOptions{Services: []string{"api"}}, func(h *Observed) { settle(h, StatusExited, "db") }, ""},
		{"what runs is left alone; one that waits for its policy is started now", StartOptions{},
			func(h *Observed) { settle(h, StatusCreated, "side"); settle(h, StatusRestarting, "web") }, `
start container shop-side-1
    ` + "`stack start`" + ` asked for it
start container shop-web-1
    ` + "`stack start`" + ` asked for it
--
#1 start container shop-side-1  (container:side/1: ` + "`stack start`" + ` asked for it)
#2 start container shop-web-1  (container:web/1: ` + "`stack start`" + ` asked for it)
`},
		{"all run", StartOptions{}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			chainGolden(t, tt.host, tt.text, func(h *Observed, on map[string]map[string]Dependency) *Plan {
				tt.opt.DependsOn = on
				return BuildStart("shop", h, tt.opt)
			})
		})
	}
}

// TestStartAndStopInACircle: labels of another program's making are no reason to do nothing.
func TestStartAndStopInACircle(t *testing.T) {
	d := want(svc("a", nil), svc("b", nil))
	on := map[string]map[string]Dependency{"a": dep("b", Started, false), "b": dep("a", Started, false)}
	h := made(d)
	if p := BuildStop("shop", h, StopOptions{DependsOn: on}); len(p.Steps) != 2 {
		t.Errorf("got\n%s", p)
	}
	settle(h, StatusExited, "a", "b")
	if p := BuildStart("shop", h, StartOptions{DependsOn: on}); len(p.Steps) != 2 {
		t.Errorf("got\n%s", p)
	}
}
