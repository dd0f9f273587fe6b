package e2e

import (
	"strings"
	"testing"
)

// TestTop: the processes of each container, of its execs too, and nobody else's; also while it is paused, and by a daemon that came later.
func TestTop(t *testing.T) {
	p := compose(t, "top", `
services:
  app:
    image: busybox
    command: [sh, -c, 'sleep 1111 & sleep 2222 & wait']
    user: "1234"
    scale: 2
    stop_grace_period: 0s
  web:
    image: busybox
    command: [sleep, "3333"]
    stop_grace_period: 0s
  off:
    image: busybox
    command: ["true"]
`)
	p.ok("up", "--detach")
	p.ok("exec", "--detach", "web", "sleep", "4444")
	// lines are those of top, by their command, with the service, the number and the user before it.
	lines := func(services ...string) map[string]int {
		found := map[string]int{}
		for i, line := range strings.Split(strings.TrimSpace(p.ok(append([]string{"top"}, services...)...)), "\n") {
			f := strings.Fields(line)
			switch {
			case i == 0:
				equal(t, "the header", strings.Join(f, " "), "SERVICE # UID PID PPID C STIME TTY TIME CMD")
			case len(f) < 10:
				t.Fatalf("%q", line)
			default:
				found[strings.Join(append(f[:3:3], f[9:]...), " ")]++
			}
		}
		return found
	}
	var all map[string]int
	p.eventually("all are there, and off is not", func() bool {
		all = lines()
		return len(all) == 8 && all["off 1 root true"] == 0
	})
	for _, want := range []string{"app 1 1234 sleep 1111", "app 1 1234 sleep 2222", "app 2 1234 sleep 1111", "app 2 1234 sleep 2222", "web 1 root sleep 3333", "web 1 root sleep 4444"} {
		if all[want] != 1 {
			t.Errorf("%q is there %d times: %v", want, all[want], all)
		}
	}
	p.ok("pause", "web")
	if got := lines("web"); len(got) != 2 || got["web 1 root sleep 3333"] != 1 {
		t.Errorf("top web, paused: %v", got)
	}
	p.ok("unpause", "web")
	equal(t, "top off", p.ok("top", "off"), "")
	p.fails(1, []string{"no such service: nobody"}, "top", "nobody")
}
