package e2e

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// told is an entry of `history --format json`.
type told struct {
	Number  int
	Outcome string
	Command string
	Error   string
}

func (p *project) history() []told {
	p.t.Helper()
	var all []told
	if err := json.Unmarshal([]byte(p.ok("history", "--format", "json")), &all); err != nil {
		p.t.Fatal(err)
	}
	return all
}

// TestHistoryAndRollback: what was done is told by the next daemon too, a killed up is interrupted, and rollback brings back what was.
func TestHistoryAndRollback(t *testing.T) {
	h, p := newTwoServices(t, "told")
	p.up()
	p.up() // nothing to do
	p.write("compose.yaml", twoServices("two"))
	p.up()
	if r := p.run("history", "2"); !strings.Contains(r.stdout, `environment.MODE: "one" -> "two"`) || !strings.Contains(r.stdout, "API_TOKEN: (hidden)") || strings.Contains(r.stdout, "token-") {
		t.Errorf("%s", r)
	}
	// Killed while web waits for db, which does not get healthy, and is not called unhealthy either: the up would be over.
	ill := strings.NewReplacer("touch /tmp/ok", "true", "interval: 1s", "interval: 1s, start_period: 1h").Replace(twoServices("three"))
	p.write("compose.yaml", strings.Replace(ill, "[sleep, infinity]", "[sleep, '100000']", 1))
	ctx, cancel := timeout(t)
	defer cancel()
	up := h.command(ctx, p.dir, "up", "--detach")
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	p.eventually("the third up waits", func() bool {
		all := p.history()
		return len(all) == 3 && all[2].Outcome == "under way" && strings.Contains(p.run("why", "db").stdout, "started 2")
	})
	h.killDaemon(t)
	up.Wait() //nolint:errcheck // its daemon was killed
	h.startDaemon(t)
	all := p.history()
	if len(all) != 3 || all[0].Outcome != "done" || all[1].Outcome != "done" || all[2].Outcome != "interrupted" || all[1].Command != "up --detach --wait" {
		t.Fatalf("%+v", all)
	}
	// What the next daemon has brought back by itself by now is not told again.
	if r := p.run("rollback", "--dry-run"); r.code != 2 && r.code != 0 || !strings.Contains(r.stderr, "back to #2") {
		t.Errorf("%s", r)
	}
	p.ok("rollback", "--wait")
	equal(t, "MODE after rollback", p.sh("db", "echo $MODE"), "two")
	p.ok("rollback", "--wait") // from two to one: that it was two before is no step
	equal(t, "MODE after another rollback", p.sh("db", "echo $MODE"), "one")
	if r := p.run("rollback", "--dry-run"); r.code != 2 || !strings.Contains(r.stdout, "recreate told-db-1") || !strings.Contains(r.stdout, `MODE: "one" -> "two"`) {
		t.Errorf("%s", r)
	}
	before := len(p.history())
	p.ok("down", "--timeout", "0")
	if n := len(p.history()); n != before || n < 4 {
		t.Errorf("%d entries after down, %d before", n, before)
	}
	p.ok("rollback", "--wait")
	equal(t, "MODE of a project that was down", p.sh("db", "echo $MODE"), "two")
	p.ok("down", "--volumes", "--timeout", "0")
	if n := len(p.history()); n != 0 {
		t.Errorf("%d entries after down --volumes", n)
	}
	if info, err := os.Stat(h.state("history.db")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestABrokenHistoryIsToldAndStopsNothing: an up on a history that is no database.
func TestABrokenHistoryIsToldAndStopsNothing(t *testing.T) {
	h := ownHost(t)
	h.makeDirs(t)
	write(t, h.state("history.db"), "no database")
	h.startDaemon(t)
	p := newProject(t, h, "broken", map[string]string{"compose.yaml": twoServices("one")})
	p.ok("load", "--input", busyboxArchive(t, "plan.test/app:1"))
	r := p.run("up", "--detach")
	if r.code != 0 || strings.Count(r.stderr, "Not recorded in the history") != 1 || !strings.Contains(r.stderr, "history.db") {
		t.Errorf("%s", r)
	}
	p.fails(1, []string{"cannot use the history"}, "history")
}

// TestWhy: the path of a start, its survival of the daemon, a restart by policy, and the same facts at the end of a failed up.
func TestWhy(t *testing.T) {
	h, p := newTwoServices(t, "why")
	// Its third probe is the first that succeeds.
	p.write("compose.yaml", strings.Replace(twoServices("one"), "[ -e /tmp/ok ]", "echo >> /tmp/asked; [ $$(wc -l < /tmp/asked) -ge 3 ]", 1))
	p.up()
	want := []string{"create by stack up --detach --wait (#1)", "it does not exist", "set up the network of container why-db-1", "start container why-db-1",
		"wait for db to be healthy", "health checks)", "start container why-web-1"}
	contains(t, "why web", p.ok("why", "web"), want...)
	h.killDaemon(t)
	h.startDaemon(t)
	contains(t, "why web of the next daemon", p.ok("why", "web"), want...)
	contains(t, "why db", p.ok("why", "db"), "healthy ", " after its start (")
	var v struct {
		Containers []struct {
			Start struct {
				Path []struct {
					What       string
					Begin, End time.Time
					Probes     int
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(p.ok("why", "--format", "json", "web")), &v); err != nil || len(v.Containers) != 1 {
		t.Fatalf("%v, %+v", err, v)
	}
	for _, s := range v.Containers[0].Start.Path {
		if s.What == "wait for db to be healthy" && (s.Probes < 3 || !s.End.After(s.Begin)) {
			t.Errorf("%+v", s)
		}
	}

	p.write("compose.yaml", strings.Replace(twoServices("one"), "touch /tmp/ok; exec sleep infinity", "exit 9", 1))
	r := p.fails(1, []string{"exited with code 9", "the last lines of its log", "ready"}, "up", "--detach", "--wait")
	why := p.ok("why", "db")
	contains(t, "why db", why, "recreate by stack up --detach", "command[2]", "exited with code 9", "the last lines of its log:\n    ready")
	contains(t, "why web", p.ok("why", "web"), "the last plan of why is not done: #2", "exited with code 9")
	_, facts, _ := strings.Cut(why, "the last lines of its log:")
	facts, _, _ = strings.Cut(facts, "\n\n")
	contains(t, "up", strings.ReplaceAll(r.stderr, "\n  ", "\n"), strings.TrimSpace(facts))
}

// TestEvents: docker compose's objects, of what was and of what comes.
func TestEvents(t *testing.T) {
	h, p := newTwoServices(t, "events")
	p.up()
	type line struct {
		Time                      time.Time
		Type, Action, Service, ID string
		Attributes                map[string]string
	}
	read := func(text string) (actions map[string]bool) {
		t.Helper()
		actions = map[string]bool{}
		dec := json.NewDecoder(strings.NewReader(text))
		for dec.More() {
			var l line
			if err := dec.Decode(&l); err != nil {
				t.Fatal(err)
			}
			if l.Type == "container" && l.Attributes["name"] == "" || l.Time.IsZero() {
				t.Errorf("%+v", l)
			}
			if l.Action == "start" && len(l.ID) != 64 {
				t.Errorf("a start without an id: %+v", l)
			}
			actions[l.Service+" "+l.Action] = true
		}
		return actions
	}
	past := read(p.ok("events", "--json", "--since", "10m", "--until", "0s"))
	for _, want := range []string{" create", "db create", "db start", "db health_status: healthy", "web start"} {
		if !past[want] {
			t.Errorf("no %q in %v", want, past)
		}
	}
	if only := read(p.ok("events", "--json", "--since", "10m", "--until", "0s", "web")); only["db start"] || !only["web start"] {
		t.Errorf("of web: %v", only)
	}
	// As it happens, to its end.
	ctx, cancel := timeout(t)
	defer cancel()
	cmd := h.command(ctx, p.dir, "events", "--json")
	var out buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.eventually("a stop is told", func() bool {
		p.ok("restart", "--timeout", "0", "web")
		return strings.Contains(out.String(), `"action":"die"`) && strings.Contains(out.String(), `"action":"start"`)
	})
	cmd.Process.Signal(os.Interrupt) //nolint:errcheck // Wait tells
	cmd.Wait()                       //nolint:errcheck // 130
	if cmd.ProcessState.ExitCode() != 130 {
		t.Errorf("it ended with %d", cmd.ProcessState.ExitCode())
	}
}
