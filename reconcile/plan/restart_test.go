package plan

import (
	"strings"
	"testing"
	"time"
)

// chain is db ◀ api ◀ web, and db ◀ side with restart: true.
func chain() (*Desired, map[string]map[string]Dependency) {
	d := want(svc("db", nil), svc("api", dep("db", Healthy, false)), svc("web", dep("api", Started, false)), svc("side", dep("db", Started, true)))
	on := map[string]map[string]Dependency{}
	for name, s := range d.Services {
		on[name] = s.DependsOn
	}
	return d, on
}

// chainGolden compares text with what build plans for a chain that runs, once host has changed it.
func chainGolden(t *testing.T, host func(*Observed), text string, build func(h *Observed, on map[string]map[string]Dependency) *Plan) {
	t.Helper()
	d, on := chain()
	h := made(d)
	if host != nil {
		host(h)
	}
	if got := build(h, on).String(); got != strings.TrimPrefix(text, "\n") {
		t.Errorf("got\n%s", got)
	}
}

func TestRestartGoldens(t *testing.T) {
	five := 5 * time.Second
	for _, tt := range []struct {
		name string
		opt  RestartOptions
		host func(*Observed)
		text string
	}{
		{"one service, and who follows it", RestartOptions{Services: []string{"db"}, Timeout: &five}, nil, `
restart container shop-db-1
    ` + "`stack restart`" + ` asked for it
restart container shop-side-1
    db, which it depends on with restart: true, is restarted
--
#1 keep room for the start of container shop-db-1  (container:db/1: ` + "`stack restart`" + ` asked for it)
#2 keep room for the start of container shop-side-1  (container:side/1: db, which it depends on with restart: true, is restarted)
#3 [#1 #2] stop container shop-side-1  (container:side/1: db, which it depends on with restart: true, is restarted)
#4 [#1 ~#3] stop container shop-db-1  (container:db/1: ` + "`stack restart`" + ` asked for it)
#5 [#4] start container shop-db-1  (container:db/1: ` + "`stack restart`" + ` asked for it)
#6 [#3 #5] start container shop-side-1  (container:side/1: db, which it depends on with restart: true, is restarted)
`},
		{"without dependents", RestartOptions{Services: []string{"db"}, NoDeps: true}, nil, `
restart container shop-db-1
    ` + "`stack restart`" + ` asked for it
--
#1 keep room for the start of container shop-db-1  (container:db/1: ` + "`stack restart`" + ` asked for it)
#2 [#1] stop container shop-db-1  (container:db/1: ` + "`stack restart`" + ` asked for it)
#3 [#2] start container shop-db-1  (container:db/1: ` + "`stack restart`" + ` asked for it)
`},
		{"all, through a gate; what has ended is started", RestartOptions{}, func(h *Observed) { settle(h, StatusExited, "side") }, `
restart container shop-api-1
    ` + "`stack restart`" + ` asked for it
restart container shop-db-1
    ` + "`stack restart`" + ` asked for it
start container shop-side-1
    ` + "`stack restart`" + ` asked for it
restart container shop-web-1
    ` + "`stack restart`" + ` asked for it
--
#1 keep room for the start of container shop-db-1  (container:db/1: ` + "`stack restart`" + ` asked for it)
#2 keep room for the start of container shop-api-1  (container:api/1: ` + "`stack restart`" + ` asked for it)
#3 keep room for the start of container shop-web-1  (container:web/1: ` + "`stack restart`" + ` asked for it)
#4 [#1 #2 #3] stop container shop-web-1  (container:web/1: ` + "`stack restart`" + ` asked for it)
#5 [#1 #2 ~#4] stop container shop-api-1  (container:api/1: ` + "`stack restart`" + ` asked for it)
#6 [#1 ~#5] stop container shop-db-1  (container:db/1: ` + "`stack restart`" + ` asked for it)
#7 [#6] start container shop-db-1  (container:db/1: ` + "`stack restart`" + ` asked for it)
#8 [#7] wait for db to be healthy  (container:db/1: api depends on it)
#9 [#5 #8] start container shop-api-1  (container:api/1: ` + "`stack restart`" + ` asked for it)
#10 [#7] start container shop-side-1  (container:side/1: ` + "`stack restart`" + ` asked for it)
#11 [#4 #9] start container shop-web-1  (container:web/1: ` + "`stack restart`" + ` asked for it)
`},
		{"one that depends on what is not restarted does not wait for it", RestartOptions{Services: []string{"api"}}, func(h *Observed) { settle(h, StatusExited, "db") }, `
restart container shop-api-1
    ` + "`stack restart`" + ` asked for it
--
#1 keep room for the start of container shop-api-1  (container:api/1: ` + "`stack restart`" + ` asked for it)
#2 [#1] stop container shop-api-1  (container:api/1: ` + "`stack restart`" + ` asked for it)
#3 [#2] start container shop-api-1  (container:api/1: ` + "`stack restart`" + ` asked for it)
`},
		{"two with one between them that is not restarted keep their order", RestartOptions{Services: []string{"db", "web"}, NoDeps: true}, nil, `
restart container shop-db-1
    ` + "`stack restart`" + ` asked for it
restart container shop-web-1
    ` + "`stack restart`" + ` asked for it
--
#1 keep room for the start of container shop-db-1  (container:db/1: ` + "`stack restart`" + ` asked for it)
#2 keep room for the start of container shop-web-1  (container:web/1: ` + "`stack restart`" + ` asked for it)
#3 [#2] stop container shop-web-1  (container:web/1: ` + "`stack restart`" + ` asked for it)
#4 [#1 ~#3] stop container shop-db-1  (container:db/1: ` + "`stack restart`" + ` asked for it)
#5 [#4] start container shop-db-1  (container:db/1: ` + "`stack restart`" + ` asked for it)
#6 [#3 ~#5] start container shop-web-1  (container:web/1: ` + "`stack restart`" + ` asked for it)
`},
		{"a follower that is down stays so", RestartOptions{Services: []string{"db"}}, func(h *Observed) { settle(h, StatusExited, "side") }, `
restart container shop-db-1
    ` + "`stack restart`" + ` asked for it
--
#1 keep room for the start of container shop-db-1  (container:db/1: ` + "`stack restart`" + ` asked for it)
#2 [#1] stop container shop-db-1  (container:db/1: ` + "`stack restart`" + ` asked for it)
#3 [#2] start container shop-db-1  (container:db/1: ` + "`stack restart`" + ` asked for it)
`},
		{"the rest of one that was cut short", RestartOptions{Services: []string{"db"}, Resume: true, Owed: Debts{Container("db", 1): {}, Container("side", 1): {}}},
			func(h *Observed) { settle(h, StatusExited, "side", "web") }, `
start container shop-side-1
    its restart was cut short
--
#1 start container shop-side-1  (container:side/1: its restart was cut short)
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			chainGolden(t, tt.host, tt.text, func(h *Observed, on map[string]map[string]Dependency) *Plan {
				tt.opt.DependsOn = on
				return BuildRestart("shop", h, tt.opt)
			})
		})
	}
}

// TestRestartInACircle: labels of another program's making are no reason to do nothing.
func TestRestartInACircle(t *testing.T) {
	d := want(svc("a", nil), svc("b", nil))
	on := map[string]map[string]Dependency{"a": dep("b", Started, false), "b": dep("a", Started, false)}
	if p := BuildRestart("shop", made(d), RestartOptions{DependsOn: on}); len(p.Steps) != 6 {
		t.Errorf("got\n%s", p)
	}
}
