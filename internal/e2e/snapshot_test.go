package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// databaseFile has a database, and somebody who needs it.
const databaseFile = `
services:
  db:
    image: postgres:15
    environment: {POSTGRES_PASSWORD: example}
    volumes: [data:/var/lib/postgresql/data]
    stop_grace_period: 20s
    healthcheck: {test: ["CMD-SHELL", "pg_isready -h 127.0.0.1 -U postgres"], interval: 1s, retries: 60}
  app:
    image: busybox
    init: true
    command: [sleep, infinity]
    depends_on: {db: {condition: service_healthy, restart: true}}
    volumes: [files:/files]
volumes:
  data:
  files:
`

// beside is another project for as long as p is there, which is who sees that nothing is left.
func beside(p *project, name, yaml string) *project {
	p.t.Helper()
	other := &project{t: p.t, host: p.host, name: name, dir: filepath.Join(p.t.TempDir(), name)}
	other.write("compose.yaml", yaml)
	p.t.Cleanup(other.takeDown)
	return other
}

// query asks the database, as it is or as soon as it accepts connections.
func (p *project) query(sql string) string {
	p.t.Helper()
	return strings.TrimSpace(p.ok("exec", "-T", "db", "psql", "-U", "postgres", "-t", "-A", "-c", sql))
}

// TestDatabaseBackAndForth: a snapshot of a database that runs, a change, the snapshot restored: the rows are there again, what was changed in another volume is too. Then a
// second checkout gets a database of its own with the same rows.
func TestDatabaseBackAndForth(t *testing.T) {
	h := theHost(t)
	p := newProject(t, h, "rows", map[string]string{"compose.yaml": databaseFile})
	p.up()
	p.query("CREATE TABLE t (n int); INSERT INTO t SELECT generate_series(1, 1000)")
	p.sh("app", "echo before >/files/note")
	db, app := p.one("rows-db-1"), p.one("rows-app-1")

	p.ok("volumes", "snapshot", "--name", "seed")
	if now := p.one("rows-db-1"); now.ID != db.ID || now.State != "running" {
		t.Errorf("the snapshot has left the database %+v", now)
	}
	equal(t, "the table of snapshots", strings.Join(strings.Fields(p.ok("volumes", "snapshots", "--format", "{{.Name}} {{.Volumes}}")), " "), "seed data,files")
	p.fails(1, []string{"there is one of that name"}, "volumes", "snapshot", "--name", "seed", "db")

	p.query("DELETE FROM t WHERE n > 10; CREATE TABLE other (n int)")
	p.sh("app", "echo after >/files/note")
	p.fails(1, []string{"rows-db-1", "--stop"}, "volumes", "restore", "seed", "db")
	equal(t, "rows, when a restore was refused", p.query("SELECT count(*) FROM t"), "10")

	p.ok("volumes", "restore", "--stop", "seed", "db")
	p.up()
	equal(t, "rows after the restore", p.query("SELECT count(*) FROM t"), "1000")
	equal(t, "the table that was made after the snapshot", p.query("SELECT to_regclass('other') IS NULL"), "t")
	equal(t, "the other volume", p.sh("app", "cat /files/note"), "after")
	if now := p.one("rows-db-1"); now.ID != db.ID {
		t.Errorf("the database's container is another: %s, before %s", now.ID, db.ID)
	}
	p.ok("volumes", "restore", "--stop", "seed", "files")
	equal(t, "the other volume, restored", p.sh("app", "cat /files/note"), "before")
	if now := p.one("rows-app-1"); now.ID != app.ID || now.State != "running" {
		t.Errorf("the app is %+v", now)
	}
	if r := p.run("plan"); r.code != 0 {
		t.Errorf("a plan after it: %s", r)
	}

	// A branch gets a database of its own.
	branch := beside(p, "branch", databaseFile)
	branch.ok("volumes", "clone", "--from", "rows", "data")
	branch.fails(1, []string{"there is a volume branch_data", "--replace"}, "volumes", "clone", "--from", "rows", "data")
	if out := branch.run("up", "--detach", "--wait"); out.code != 0 || strings.Contains(out.stderr, "Volume branch_data  Created") {
		t.Fatalf("the clone is not the branch's own: %s", out)
	}
	branch.query("DELETE FROM t")
	equal(t, "rows of the first", p.query("SELECT count(*) FROM t"), "1000")
	branch.fails(1, []string{"branch-db-1", "runs"}, "volumes", "clone", "--from", "rows", "--replace", "data")
	branch.ok("stop", "db")
	branch.ok("volumes", "clone", "--from", "rows", "--replace", "data")
	branch.up()
	equal(t, "rows of the branch, cloned again", branch.query("SELECT count(*) FROM t"), "1000")

	// Snapshots outlive a down with its volumes, and bring them back.
	if r := p.run("down", "--volumes"); r.code != 0 || !strings.Contains(r.stderr, "Snapshot seed  Kept") {
		t.Errorf("down does not say that the snapshot stays: %s", r)
	}
	p.ok("volumes", "restore", "seed")
	p.up()
	equal(t, "rows after a down", p.query("SELECT count(*) FROM t"), "1000")
	equal(t, "the other volume after a down", p.sh("app", "cat /files/note"), "before")
	p.fails(1, []string{"none of that name"}, "volumes", "snapshots", "rm", "seed", "nobody")
	p.ok("volumes", "snapshots", "rm", "seed")
	equal(t, "snapshots", p.ok("volumes", "snapshots", "--format", "json"), "")
}

// TestSnapshotOfStoppedAndOthers: --stop stops the project's own and starts them again; what is of a device or in memory is refused by name, and so is what others run with.
func TestSnapshotOfStoppedAndOthers(t *testing.T) {
	h := theHost(t)
	p := newProject(t, h, "kept", map[string]string{"compose.yaml": `
services:
  one:
    image: busybox
    init: true
    stop_grace_period: 0s
    command: ["sh", "-c", "date +%s%N >>/data/starts; exec sleep infinity"]
    volumes: [data:/data, memory:/memory]
volumes:
  data: {name: kept_by_name}
  memory: {driver_opts: {type: tmpfs, device: tmpfs}}
`})
	started := func(times string) {
		t.Helper()
		p.eventually("it has started "+times+" times", func() bool {
			r := p.run("exec", "-T", "one", "wc", "-l", "/data/starts")
			return r.stdout == times+" /data/starts\n"
		})
	}
	p.up()
	started("1")
	p.fails(1, []string{"kept_memory", "file system"}, "volumes", "snapshot", "memory")
	p.fails(1, []string{"no volume nothing"}, "volumes", "snapshot", "nothing")
	p.ok("volumes", "snapshot", "--stop", "--name", "s1") // what cannot be copied is left out where nothing is named
	started("2")
	var snapshot struct{ Name, Volumes string }
	if err := json.Unmarshal([]byte(p.ok("volumes", "snapshots", "--format", "json")), &snapshot); err != nil || snapshot.Volumes != "data" {
		t.Errorf("%+v, %v", snapshot, err)
	}
	p.ok("volumes", "restore", "--stop", "s1", "kept_by_name")
	started("2") // one of them was taken back

	other := beside(p, "guest", "services:\n  guest:\n    image: busybox\n    init: true\n    stop_grace_period: 0s\n    command: [sleep, infinity]\n    volumes: [data:/data]\nvolumes:\n  data: {name: kept_by_name, external: true}\n")
	other.up()
	p.fails(1, []string{"guest-guest-1", "another project"}, "volumes", "restore", "--stop", "s1")
	other.ok("volumes", "snapshots") // it has none
	other.fails(1, []string{"project guest has no volume data", "is said with --name"}, "volumes", "snapshot", "data")
	other.ok("down")
	p.ok("volumes", "snapshots", "rm", "s1")
}

// snapshotPoints are where a daemon is killed in a snapshot or a restore of two volumes.
var snapshotPoints = map[string][]string{
	"snapshot": {"driver.containers.pause.before#1", "driver.containers.pause.after#2", "driver.volumes.snapshot.before#1", "volume.snapshot.copied#1", "volume.snapshot.recorded#1", "volume.snapshot.renamed#1", "driver.volumes.snapshot.after#1", "driver.containers.resume.before#1"},
	"restore": {"driver.containers.stop.before#1", "driver.containers.stop.after#2", "driver.volumes.restore.before#1", "volume.restore.copied#1", "volume.restore.recorded#1", "volume.restore.out#1", "volume.restore.moved#1", "volume.restore.out#2",
		"volume.restore.moved#2", "volume.discard.renamed#1", "driver.volumes.restore.after#1", "driver.containers.start.before#1", "driver.containers.start.after#2"},
}

// TestKilledInASnapshot: wherever the daemon is killed, what was paused or stopped for a snapshot or a restore goes on with the next one; the volumes have all of the old content or all of
// the new, and nothing is left of what was being made.
func TestKilledInASnapshot(t *testing.T) {
	bin, err := withFailpoints()
	if err != nil {
		t.Fatal(err)
	}
	h := ownHost(t)
	h.bin = bin
	h.makeDirs(t)
	// No command starts a daemon of its own when ours has been killed before it came to it. Without a log it starts none.
	if err := os.MkdirAll(h.state("daemon.log"), 0o700); err != nil {
		t.Fatal(err)
	}
	h.startDaemon(t)
	p := &project{t: t, host: h, name: "cut", dir: filepath.Join(h.dir, "cut")}
	p.write("compose.yaml", `
services:
  db: &one
    image: busybox
    init: true
    stop_grace_period: 0s
    command: [sleep, infinity]
    volumes: ["a:/data"]
  app:
    <<: *one
    volumes: ["b:/data"]
    depends_on: {db: {condition: service_started, restart: true}}
volumes: {a: , b: }
`)
	p.up()
	put := func(text string) {
		t.Helper()
		p.sh("db", "echo "+text+" >/data/f")
		p.sh("app", "echo "+text+" >/data/f")
	}
	put("old")
	p.ok("volumes", "snapshot", "--name", "s")
	missed := 0
	for verb, points := range snapshotPoints {
		for _, point := range points {
			put("new")
			h.killDaemon(t)
			if !h.tryDaemon(t, "STACK_FAILPOINT="+point) {
				t.Fatalf("%s: it died at once", point)
			}
			args := []string{"volumes", "snapshot", "--name", "t"}
			if verb == "restore" {
				args = []string{"volumes", "restore", "--stop", "s"}
			}
			r := p.run(args...)
			if !h.daemonDied(r.code != 0) {
				missed++
				t.Errorf("%s at %s, which it did not come by: %s", verb, point, r)
				h.killDaemon(t)
			}
			h.daemon = nil
			h.startDaemon(t)
			want := map[string]string{"snapshot": "new\n", "restore": "old\n"}[verb] // a restore is on record before the first stop
			p.eventually(verb+" at "+point+": both run, with "+want, func() bool {
				for _, service := range []string{"db", "app"} {
					if r := p.run("exec", "-T", service, "cat", "/data/f"); r.code != 0 || r.stdout != want {
						return false
					}
				}
				return true
			})
			if strings.Contains(p.ok("volumes", "snapshots"), "t  ") {
				p.ok("volumes", "snapshots", "rm", "t")
			}
			if left, _ := filepath.Glob(h.state("volumes", ".[mr]*")); len(left) > 0 {
				t.Errorf("%s at %s: left %v", verb, point, left)
			}
			if plan := p.run("plan"); plan.code != 0 {
				t.Errorf("%s at %s: a plan after it: %s", verb, point, plan)
			}
			if t.Failed() {
				t.Fatalf("the daemon's log:\n%s", h.daemonLog(20))
			}
		}
	}
	p.ok("volumes", "snapshots", "rm", "s")
	p.ok("down", "--volumes", "--timeout", "0")
	h.settled(t)
}

// TestUndelete: where the configuration says so, what down --volumes has removed can be brought back; elsewhere it is gone, and the room is free.
func TestUndelete(t *testing.T) {
	h := ownHost(t)
	h.makeDirs(t)
	h.configure(t, "keep-removed-volumes: 1h")
	h.startDaemon(t)
	p := &project{t: t, host: h, name: "back", dir: filepath.Join(h.dir, "back")}
	p.write("compose.yaml", "services:\n  one:\n    image: busybox\n    init: true\n    stop_grace_period: 0s\n    command: [sleep, infinity]\n    volumes: [\"data:/data\", /anonymous]\nvolumes:\n  data:\n")
	p.up()
	p.sh("one", "echo mine >/data/f")
	p.ok("down", "--volumes")
	equal(t, "volumes", p.ok("volumes", "--quiet"), "")
	equal(t, "removed", p.ok("volumes", "removed", "--format", "{{.Name}} {{.Key}}"), "back_data data\n")
	p.up()
	p.fails(1, []string{"there is a volume back_data now"}, "volumes", "undelete", "data")
	p.ok("down", "--volumes")
	p.ok("volumes", "undelete", "data") // the empty one, which was removed last
	p.up()
	equal(t, "what the second had", p.sh("one", "ls /data"), "")
	p.ok("down", "--volumes")
	for range 2 { // whose time in the trash is not over
		if r := p.run("gc"); r.code != 0 || strings.Contains(r.stdout, "back_data") {
			t.Errorf("gc: %s", r)
		}
	}
	for range 2 {
		p.ok("volumes", "undelete", "back_data")
		if text, err := os.ReadFile(h.state("volumes", "back_data", "_data", "f")); err == nil {
			equal(t, "what the first had", string(text), "mine\n")
			break
		}
		if err := os.RemoveAll(h.state("volumes", "back_data")); err != nil {
			t.Fatal(err)
		}
	}
	p.up()
	equal(t, "what is back", p.sh("one", "cat /data/f"), "mine")
	p.ok("down", "--volumes")
	h.killDaemon(t)
	write(t, filepath.Join(h.dir, "config.yaml"), "healing: true\n")
	h.startDaemon(t)
	equal(t, "removed, where nothing is kept", p.ok("volumes", "removed", "--format", "json"), "")
	p.fails(1, []string{"keep-removed-volumes"}, "volumes", "undelete", "data")
	if left := below(t, h.state("volumes")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	h.settled(t)
}
